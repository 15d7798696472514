"""From folders or a CSV of pictures to batches, exact and the same on any number of workers and ranks."""

from imageclf.data.batch import Batch, Request
from imageclf.data.datamodule import ImageData
from imageclf.data.dataset import PictureDataset
from imageclf.data.loading import Loading
from imageclf.data.pictures.caching import Caching
from imageclf.data.pictures.decode import read_picture
from imageclf.data.pictures.verify import describe, unreadable
from imageclf.data.sources.class_list import ClassList
from imageclf.data.sources.csv import CsvSource
from imageclf.data.sources.folder import FolderSource
from imageclf.data.sources.split import Splitting
from imageclf.data.sources.table import Table, make_table
from imageclf.data.views.augmentation import Augmentation
from imageclf.data.views.auto_augment import AutoAugment

__all__ = [
    "Augmentation",
    "AutoAugment",
    "Batch",
    "Caching",
    "ClassList",
    "CsvSource",
    "FolderSource",
    "ImageData",
    "Loading",
    "PictureDataset",
    "Request",
    "Splitting",
    "Table",
    "describe",
    "make_table",
    "read_picture",
    "unreadable",
]
