"""Forward and backward passes of chains of simple layers without autograd."""
