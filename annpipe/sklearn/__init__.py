"""scikit-learn estimators that train what a spec declares: `AnnpipeRegressor` and `AnnpipeClassifier`.

    from annpipe.sklearn import AnnpipeClassifier

    AnnpipeClassifier(hidden=(32, 16), epochs=100).fit(X, y).predict(X)
    AnnpipeClassifier(spec="wine.yaml", overrides=["optimizer.AdamW.lr=0.003"]).fit(X, y)

They need scikit-learn, the extra `sklearn`.
"""

try:
    import sklearn  # noqa: F401  # to say what to install where it is missing
except ImportError as error:
    raise ImportError("annpipe.sklearn needs scikit-learn: pip install 'annpipe[sklearn]'") from error

from annpipe.sklearn.estimators import AnnpipeClassifier, AnnpipeRegressor

__all__ = ["AnnpipeClassifier", "AnnpipeRegressor"]
