"""Data sets by name: embedded digits, downloads, class folders, Parquet files, texts.

`load(name)` gives a `Dataset` of uint8 images or texts and integer labels. A name is
`BASE[@TRAIN+TEST]`:

- `digits`: scikit-learn's 8x8 digits, nothing to download;
- `cifar10`, `cifar100`, `svhn`, `svhn-slides` (as `svp-slides` divides it, with a validation part),
  `mnist`, `fashionmnist`: downloaded through torchvision, or read
  from a Parquet copy in `$STUDY_DATA` where one lies (`resolve` says which);
- `imagenette`: photographs of ten classes of ImageNet, read from `$STUDY_DATA`;
- `folder:PATH`: class folders with images, see `helpers.data.folders`;
- `parquet:PATH`: Parquet in the Hugging Face image layout, see `helpers.data.parquet`;
- `imdb`, `amazon-reviews`: film and product reviews, negative or positive, and `amazon-ratings`,
  the latter by their stars (1, 2, 4 and 5: nobody gave 3), read from `$STUDY_DATA`;
- `text:PATH`: texts in CSV or Parquet, see `helpers.data.text`.

`@10000+2000` keeps the first 10,000 training and 2,000 test rows; a validation set stays
whole.
"""

from helpers.data.dataset import Dataset
from helpers.data.loading import check, load
from helpers.data.names import resolve

__all__ = ["Dataset", "check", "load", "resolve"]
