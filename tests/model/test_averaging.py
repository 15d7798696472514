import numpy as np
import pytest
import torch

from imageclf.model.backbone import create_backbone
from imageclf.model.weights.averaging import average_probabilities, average_weights


def states(count, dtype=torch.float32):
    """Draw state dicts of two float tensors and a counter."""
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "weight": torch.randn(4, 3, generator=generator).to(dtype),
            "bn.running_var": torch.rand(4, generator=generator).to(dtype),
            "bn.num_batches_tracked": torch.tensor(10 * index),
        }
        for index in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("name", ["weight", "bn.running_var"])
def test_the_mean_is_numpys(count, name):
    drawn = states(count)
    expected = np.mean([state[name].numpy().astype(np.float64) for state in drawn], axis=0)
    np.testing.assert_array_equal(average_weights(drawn)[name].numpy(), expected.astype(np.float32))


def test_whole_numbers_are_those_of_the_last():
    assert average_weights(states(3))["bn.num_batches_tracked"].item() == 20


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("count", [2, 3, 5, 6, 7, 10])
def test_the_mean_of_equal_weights_is_equal_to_them(count, dtype):
    state = states(1, dtype)[0]
    mean = average_weights([state] * count)
    assert all(torch.equal(mean[name], state[name]) for name in state)
    assert list(mean) == list(state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_mean_has_the_type_of_the_weights(dtype):
    assert average_weights(states(3, dtype))["weight"].dtype == dtype


@pytest.mark.fault(
    "Losses and weights", "Averaging weights in half precision overflows", "It is done in a wider type"
)
def test_large_half_precision_weights_do_not_overflow():
    state = {"weight": torch.full((2,), 60_000.0, dtype=torch.float16)}
    assert torch.equal(average_weights([state] * 4)["weight"], state["weight"])


def test_averaging_shares_no_memory_with_the_snapshots():
    state = states(1)[0]
    mean = average_weights([state])
    assert [mean[name].data_ptr() == state[name].data_ptr() for name in state] == [False] * 3


def test_the_mean_fits_the_model_it_came_from():
    models = [create_backbone("test_resnet", "none") for _ in range(2)]
    models[0].load_state_dict(average_weights([model.state_dict() for model in models]))
    first = next(iter(models[0].parameters()))
    assert not torch.equal(first, next(iter(models[1].parameters())))


def test_no_snapshots_have_no_mean():
    with pytest.raises(ValueError, match="at least one"):
        average_weights([])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_probabilities_are_averaged_picture_by_picture(count):
    drawn = np.random.default_rng(0).dirichlet(np.ones(4), size=(count, 6))
    np.testing.assert_allclose(average_probabilities(list(drawn)), drawn.sum(axis=0) / count, rtol=1e-12)


def test_averaged_probabilities_still_add_up_to_one():
    drawn = np.random.default_rng(0).dirichlet(np.ones(4), size=(5, 6))
    np.testing.assert_allclose(average_probabilities(list(drawn)).sum(axis=1), 1)
