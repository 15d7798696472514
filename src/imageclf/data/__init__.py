"""From folders or a CSV of pictures to batches, exact and the same on any number of workers and ranks."""

from imageclf.data.augmentation import Augmentation
from imageclf.data.auto_augment import AutoAugment
from imageclf.data.batch import Batch, Request
from imageclf.data.caching import Caching
from imageclf.data.csv import CsvSource
from imageclf.data.datamodule import ImageData
from imageclf.data.dataset import PictureDataset
from imageclf.data.decode import read_picture
from imageclf.data.folder import FolderSource
from imageclf.data.loading import Loading
from imageclf.data.split import Splitting
from imageclf.data.table import Table
from imageclf.data.verify import describe, unreadable

__all__ = [
    "Augmentation",
    "AutoAugment",
    "Batch",
    "Caching",
    "CsvSource",
    "FolderSource",
    "ImageData",
    "Loading",
    "PictureDataset",
    "Request",
    "Splitting",
    "Table",
    "describe",
    "read_picture",
    "unreadable",
]
