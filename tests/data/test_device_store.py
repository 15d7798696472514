"""The store on the device: what its batches hold, which sizes it serves, and that nothing waits for it."""

import doctest
import logging
import sys
import weakref

import numpy as np
import pytest
import torch
from presets import caching, preset, write_noise

from imageclf import InputError
from imageclf.data import PictureDataset, Request
from imageclf.data import device_store as device_store_module
from imageclf.data.device_choice import SHARE, DeviceStores, is_asked, likely_form, memory_obstacle, memory_of
from imageclf.data.device_store import DeviceStore, fastest_on, to_device, written_size
from imageclf.data.pictures.store import open_store
from imageclf.data.views.lighting import mean_value
from imageclf.data.views.resample import resample

CPU, META, CUDA = torch.device("cpu"), torch.device("meta"), torch.device("cuda")
SHAPES = [(40, 40), (40, 60), (120, 90), (21, 90), (90, 21)]
LABELS = np.array([1, 0, 2, -1, 1])
REQUEST = Request(
    np.array([3, 3, 0, 4, 2]), np.array([1, 2, 0, 1, -1]), epoch=2, size=32, weight=0.5, total=9
)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Draw a noisy picture of each shape."""
    return write_noise(tmp_path_factory.mktemp("pictures"), SHAPES)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Keep the stores of all tests."""
    return tmp_path_factory.mktemp("stores")


@pytest.fixture
def dataset(paths, root):
    """Make a dataset with stores for two sizes."""
    return stored(paths, root)


def stored(paths, root, cache="raw", augmentation=None, sizes=(32, 48)):
    """Make a dataset with stores for some sizes."""
    found = PictureDataset(paths, LABELS, augmentation or preset("fastai2"), "crop", 1.0, 42)
    sides = {size: found.side_of(size) for size in sizes}
    found.stores = caching(root, cache=cache).stores(paths, sides, "crop")
    return found


def store_of(dataset, device=CPU, size=32):
    """Load the pictures of a size to a device."""
    return DeviceStore(dataset.stores[size], dataset.viewing, LABELS, device)


def chosen(dataset, how="on", device=CPU, sizes=(32, 48)):
    """Return the stores of a dataset after their choice."""
    stores = DeviceStores(dataset)
    stores.choose(how, sizes, device)
    return stores


def test_a_batch_is_that_of_the_dataset_but_for_rounding(dataset):
    one, other = dataset[REQUEST], store_of(dataset).render(REQUEST)
    assert (one.images.float() - other.images.float()).abs().mean() < 1
    assert torch.equal(one.labels, other.labels) and torch.equal(one.rows, other.rows)
    assert (other.features, other.weight, other.total) == (None, 0.5, 9)


def test_a_batch_is_laid_out_as_that_of_the_dataset(dataset):
    one, other = dataset[REQUEST].images, store_of(dataset).render(REQUEST).images
    assert (one.shape, one.dtype, one.stride()) == (other.shape, other.dtype, other.stride())


def test_a_batch_depends_on_its_request_alone(dataset):
    store, again = store_of(dataset), store_of(dataset)
    first = store.render(REQUEST).images
    store.render(Request(np.array([1]), np.array([1]), epoch=0, size=32))
    for each in (store, again):
        assert torch.equal(each.render(REQUEST).images, first)


def test_views_and_epochs_are_drawings_of_their_own(dataset):
    rows, views = np.zeros(4, dtype=np.int64), np.array([1, 2, 3, 4])
    store = store_of(dataset)
    images = [
        *store.render(Request(rows, views, 0, 32)).images,
        *store.render(Request(rows, views, 1, 32)).images,
    ]
    assert len({image.numpy().tobytes() for image in images}) == 8


def test_the_pictures_on_the_device_are_the_bytes_of_the_file(dataset, monkeypatch):
    # Less than a picture: chunks end anywhere.
    monkeypatch.setattr(device_store_module, "_CHUNK", 1000)
    content = (dataset.stores[32].folder / "pixels.bin").read_bytes()
    assert store_of(dataset).pixels.numpy().tobytes() == content
    assert dataset.stores[32].num_bytes == len(content) > 5000


def test_the_means_of_linear_lighting_are_those_of_the_cpus_path(paths, root):
    dataset = stored(paths, root, augmentation=preset("side_on"))
    pictures = [open_store(dataset.stores[32]).read(row).pixels for row in range(len(paths))]
    assert store_of(dataset)._means.tolist() == [mean_value(picture) for picture in pictures]


def test_a_batch_is_made_without_a_look_at_what_is_on_the_device(dataset):
    store = store_of(dataset, META)
    batch = store.render(REQUEST)
    assert {part.device.type for part in (batch.images, batch.labels, batch.rows)} == {"meta"}
    assert batch.images.shape == (5, 3, 32, 32)


@pytest.mark.parametrize("look", [torch.Tensor.item, torch.Tensor.cpu, bool, float, torch.Tensor.tolist])
def test_any_look_at_what_is_on_the_device_would_be_noticed(look):
    with pytest.raises((RuntimeError, NotImplementedError)):
        look(torch.zeros((), device=META))


def test_pictures_that_validation_has_loaded_can_be_trained_on(dataset):
    # As in Lightning's validation; what is made in it may not be trained on.
    with torch.inference_mode():
        store = store_of(dataset)
        store.render(REQUEST)
    weights = torch.ones(3, requires_grad=True)
    images = store.render(REQUEST).images
    (images.float() * weights[:, None, None]).sum().backward()
    assert not images.is_inference() and weights.grad is not None


@pytest.mark.parametrize("count", [1, 2, 7])
def test_arrays_arrive_as_they_were_sent(count):
    generator = np.random.default_rng(0)
    arrays = (
        generator.integers(-(2**62), 2**62, (count, 3)),
        generator.random((count, 9)).astype(np.float32),
        generator.integers(0, 256, (count, 256), dtype=np.uint8),
    )
    received = to_device(arrays, CPU)
    assert len(received) == 3
    for one, other in zip(arrays, received, strict=True):
        np.testing.assert_array_equal(one, other.numpy(), strict=True)


def test_arrays_are_sent_in_one_copy():
    received = to_device((np.arange(4), np.arange(4, dtype=np.float32)), CPU)
    assert len({part.untyped_storage().data_ptr() for part in received}) == 1


def test_on_any_device_but_cuda_torch_resamples():
    assert fastest_on(CPU) is resample


def test_where_the_kernel_cannot_run_torch_resamples_and_that_is_said(caplog):
    assert fastest_on(CUDA) is resample
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("data.device_store: Triton cannot compile its kernel for cuda (")
    assert caplog.messages[0].endswith(
        "torch resamples instead, which takes a few milliseconds more per batch"
    )


def test_without_triton_torch_resamples_and_that_is_said(caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    # As if it had not been imported yet.
    monkeypatch.delitem(sys.modules, "imageclf.data.views.resample_kernel", raising=False)
    monkeypatch.delattr("imageclf.data.views.resample_kernel", raising=False)
    assert fastest_on(CUDA) is resample
    assert (
        "Triton cannot compile its kernel for cuda (ModuleNotFoundError: import of triton halted"
        in caplog.text
    )


@pytest.mark.parametrize(
    ("how", "device", "asked"),
    [
        ("auto", CPU, False),
        ("auto", CUDA, True),
        ("auto", torch.device("mps"), False),
        ("on", CPU, True),
        ("on", CUDA, True),
        ("off", CPU, False),
        ("off", CUDA, False),
    ],
)
def test_auto_means_cuda_alone(how, device, asked):
    assert is_asked(how, device) is asked


def test_all_sizes_with_a_raw_store_are_served(dataset):
    stores = chosen(dataset)
    assert [stores.serves(size) for size in (32, 48, 64)] == [True, True, False]


@pytest.mark.parametrize("how", ["auto", "off"])
def test_on_the_cpu_nothing_is_served_unless_it_is_asked_for_and_nothing_is_said(dataset, caplog, how):
    caplog.set_level(logging.INFO)
    stores = chosen(dataset, how)
    assert not stores.serves(32) and caplog.messages == []


REFUSALS = [
    ("jpeg", {}, "the shrunk pictures are kept as JPEGs", "set data.cache=raw"),
    ("none", {}, "no shrunk pictures are kept", "set data.cache=raw"),
    ("raw", {"extra": True}, "transforms.extra changes views on the CPU", "set transforms.extra=null"),
]


def dataset_for(paths, root, cache, changes):
    """Make a dataset that something stands against."""
    augmentation = preset("rand_augment") if changes else None
    return stored(paths, root, cache, augmentation)


@pytest.mark.parametrize(("cache", "changes", "reason", "remedy"), REFUSALS)
def test_what_cannot_be_on_is_refused_with_its_reason_and_a_remedy(
    paths, root, cache, changes, reason, remedy
):
    with pytest.raises(InputError) as error:
        chosen(dataset_for(paths, root, cache, changes))
    assert str(error.value) == f"data.device_store=on: {reason}: {remedy}, or set data.device_store=auto"


@pytest.mark.parametrize(("cache", "changes", "reason", "remedy"), REFUSALS)
def test_where_auto_leaves_a_gpu_out_one_line_says_why(paths, root, cache, changes, reason, remedy, caplog):
    caplog.set_level(logging.INFO, "imageclf")
    dataset = dataset_for(paths, root, cache, changes)
    caplog.clear()
    stores = chosen(dataset, "auto", CUDA)
    assert not stores.serves(32) and not stores.serves(48)
    assert caplog.messages == [f"data.device_store=auto: {reason}: views are made on the CPU"]


def test_pictures_that_take_the_share_of_the_memory_fit_and_one_byte_more_does_not():
    room = int(SHARE * memory_of(CPU))
    assert memory_obstacle(room, 224, CPU) is None
    obstacle = memory_obstacle(room + 1, 224, CPU)
    memory = f"{memory_of(CPU) / 1e9:.3g} GB"
    assert (
        obstacle.reason
        == f"the pictures for 224 px take {room / 1e9:.3g} GB, more than 0.4 of the {memory} of cpu"
    )
    assert obstacle.remedy == "choose a smaller size"


def test_the_memory_of_this_machine_is_what_the_kernel_says():
    with open("/proc/meminfo") as file:  # noqa: PTH123
        total = next(int(line.split()[1]) for line in file if line.startswith("MemTotal:"))
    assert memory_of(CPU) == total * 1024


def test_pictures_of_one_size_may_be_too_many_where_those_of_another_fit(dataset, monkeypatch):
    sizes = {size: dataset.stores[size].num_bytes for size in (32, 48)}
    room = (sizes[32] + sizes[48]) // 2
    monkeypatch.setattr("imageclf.data.device_choice.memory_of", lambda device: int(room / SHARE))
    stores = chosen(dataset, "auto", CUDA)
    assert [stores.serves(size) for size in (32, 48)] == [True, False]
    with pytest.raises(
        InputError, match=r"^data\.device_store=on: the pictures for 48 px take .* of cpu: choose"
    ):
        chosen(dataset)


def test_pictures_of_one_size_are_on_the_device_at_a_time(dataset, monkeypatch):
    alive, at_loading = weakref.WeakSet(), []

    class Counted(DeviceStore):
        def __init__(self, *arguments):
            at_loading.append(len(alive))
            super().__init__(*arguments)
            alive.add(self)

    monkeypatch.setattr("imageclf.data.device_choice.DeviceStore", Counted)
    stores = chosen(dataset)
    for size in (32, 32, 48, 32):
        rows = np.arange(2)
        assert stores.render(Request(rows, rows, 0, size)).images.shape[-1] == size
    assert at_loading == [0, 0, 0] and len(alive) == 1
    stores.release()
    assert len(alive) == 0


def test_sizes_are_written_as_people_say_them():
    assert doctest.testmod(device_store_module) == (0, 1)


def test_loading_says_how_much_goes_where(dataset, caplog):
    caplog.set_level(logging.INFO, "imageclf")
    chosen(dataset).render(REQUEST)
    amount = written_size(dataset.stores[32].num_bytes)
    assert caplog.messages == [f"data.device_store: {amount} of pictures for 32 px on cpu"]


def test_a_device_without_room_is_an_input_error(dataset, monkeypatch):
    def fail(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "empty", fail)
    with pytest.raises(InputError, match=r"^data\.device_store: cpu runs out of memory for .*=off$"):
        store_of(dataset)


def test_requests_are_answered_in_order_by_device_and_loader(dataset):
    stores, seen = chosen(dataset, sizes=(32,)), []
    sizes = [48, 32, 32, 48, 48, 32]
    requests = [Request(np.array([row]), np.array([0]), 0, size) for row, size in enumerate([*sizes[:5]])]

    def otherwise(group):
        for request in group:
            seen.append(request.rows.tolist())
            yield dataset[request]

    batches = list(stores.answer(iter(requests), otherwise))
    assert [batch.rows.tolist() for batch in batches] == [[0], [1], [2], [3], [4]]
    assert [batch.images.shape[-1] for batch in batches] == sizes[:5]
    assert seen == [[0], [3], [4]]


def test_no_requests_have_no_answers(dataset):
    assert list(chosen(dataset).answer(iter(()), lambda group: iter(()))) == []


@pytest.mark.parametrize(
    ("cache", "form"), [("auto", "raw"), ("raw", "raw"), ("jpeg", "jpeg"), ("none", None)]
)
def test_the_form_of_a_store_is_known_before_there_is_one(cache, form):
    assert likely_form(cache) == form
