"""The words of Keras, Lightning, Ludwig and others, so that an error can name the component that is meant."""
