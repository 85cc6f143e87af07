"""The digits that come with scikit-learn: 1,797 images of 8x8 pixels."""

import numpy as np

from helpers.data.dataset import Dataset
from helpers.data.names import kept_rows
from helpers.data.splitting import hash_order, held_out


def load_digits(name: str, rows: tuple[int, int] | None) -> Dataset:
    """Load the digits in a fixed order and split of 1,347 training and 450 test images.

    The split is stratified and follows hashes of the row numbers, so no seed changes it.

    Args:
        name: Name the data set carries.
        rows: Slice (training rows, test rows), or None for everything.

    Returns:
        Greyscale images, the grey levels 0..16 spread over 0..255.

    Raises:
        StudyError: If the slice is larger than the data or drops a class.

    Source: sklearn.datasets.load_digits (UCI, Alpaydin and Kaynak 1998).
    """
    from sklearn import datasets  # half a second that other data sets need not pay

    levels, labels = datasets.load_digits(return_X_y=True)
    images = np.rint(levels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = labels.astype(np.int64)
    keys = [str(row) for row in range(len(labels))]
    order, is_test = hash_order(keys), held_out(name, labels, keys, parts=4)
    train, test = order[~is_test[order]], order[is_test[order]]
    n_train, n_test = kept_rows(name, rows, len(train), len(test))
    train, test = train[:n_train], test[:n_test]
    class_names = tuple(str(digit) for digit in range(10))
    return Dataset(name, images[train], labels[train], images[test], labels[test], class_names)
