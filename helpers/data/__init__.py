"""Data sets by name: embedded digits, torchvision downloads, class folders, Parquet files.

`load(name)` gives a `Dataset` of uint8 images and integer labels. A name is `BASE[@TRAIN+TEST]`:

- `digits`: scikit-learn's 8x8 digits, nothing to download;
- `cifar10`, `cifar100`, `svhn`, `mnist`, `fashionmnist`: downloaded through torchvision, or read
  from a Parquet copy in `$STUDY_DATA` where one lies (`resolve` says which);
- `folder:PATH`: class folders with images, see `helpers.data.folders`;
- `parquet:PATH`: Parquet in the Hugging Face image layout, see `helpers.data.parquet`.

`@10000+2000` keeps the first 10,000 training and 2,000 test rows; a validation set stays
whole.
"""

from helpers.data.dataset import Dataset
from helpers.data.loading import load
from helpers.data.names import resolve

__all__ = ["Dataset", "load", "resolve"]
