"""Networks that timm does not have: their features, their heads, their layer groups."""

import pytest
import torch
import torchvision
from torch import Tensor, nn

from imageclf import InputError
from imageclf.configs.options import ModelOptions
from imageclf.model.backbone import create_backbone, num_features
from imageclf.model.classifier import ImageClassifier
from imageclf.model.groups import freeze_to, layer_groups
from imageclf.model.own_backbone import check_own, is_own, load_body, split_head
from imageclf.training.parts.module import build_network

PICTURES = torch.rand(2, 3, 32, 32)


class Body(nn.Module):
    """Three layers, and the mean over all places."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        convs = (nn.Conv2d(3, width, 3), nn.Conv2d(width, width, 3), nn.Conv2d(width, width, 3))
        self.layers = nn.Sequential(*convs)

    def forward(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.layers(pictures).mean((2, 3))
        return features


class Whole(nn.Module):
    """A body with a layer of its own that classifies, and something after it where `twice` is true."""

    def __init__(self, num_classes: int, twice: bool = False) -> None:
        super().__init__()
        self.body, self.drop = Body(), nn.Dropout(0.5)
        self.last = nn.Linear(4, num_classes)
        self.twice = twice

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.last(self.drop(self.body(pictures)))
        return 2 * logits if self.twice else logits


def options(**values: object) -> ModelOptions:
    plain: dict[str, object] = {"weights": "none", "drop_path_rate": None, "groups": 3, "compile": None}
    plain |= {"optimizer": {}, "loss": {}, "class_weights": "none", "channels_last": True, "mixing": None}
    plain |= {"head": {"_target_": "imageclf.model.LinearHead"}, "backbone": {"_target_": f"{__name__}.Body"}}
    return ModelOptions(**(plain | values))  # type: ignore[arg-type]


def test_the_width_of_the_features_is_found_and_the_head_gets_it() -> None:
    body = {"_target_": f"{__name__}.Body", "width": 6}
    model, expects = build_network(options(backbone=body), 5, {32, 48})
    assert model(PICTURES).shape == (2, 5)
    assert expects.mean == pytest.approx((0.485, 0.456, 0.406))
    assert expects.fixed_size is None


def test_a_whole_network_gets_the_number_of_classes_and_its_last_layer_is_the_head() -> None:
    whole = {"_target_": f"{__name__}.Whole"}
    model, _ = build_network(options(backbone=whole, head=None), 5, {32})
    assert isinstance(model.head, nn.Linear)
    assert model.features((PICTURES * 255).byte()).shape == (2, 4)


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v3_small", pytest.param("vit_b_32", marks=pytest.mark.long)]
)
def test_the_two_parts_of_a_network_of_torchvision_give_what_the_whole_gave(name: str) -> None:
    torch.manual_seed(0)
    net = getattr(torchvision.models, name)(num_classes=3).eval()
    size = 224 if name.startswith("vit") else 64
    pictures = torch.rand(2, 3, size, size)
    with torch.no_grad():
        expected = net(pictures)
        body, head = split_head(net, size, 3)
        torch.testing.assert_close(head(body(pictures)), expected)


def test_the_modes_of_all_layers_are_left_as_they_were() -> None:
    net = Whole(3)
    net.body.eval()
    split_head(net, 32, 3)
    assert (net.training, net.body.training, net.drop.training) == (True, False, True)


def test_the_layer_that_get_classifier_returns_is_the_head() -> None:
    net = Whole(3)
    net.after = nn.Linear(7, 7)
    net.get_classifier = lambda: net.last
    assert split_head(net, 32, 3)[1] is not net.after


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (Whole(4), r"^model\.head=null: Whole gives \[1, 4\] for one picture, not \[1, 3\]; .*num_classes"),
        (Whole(3, twice=True), r"^model\.head=null: last of Whole is not the last step .*get_classifier\(\)"),
        (nn.Flatten(), r"^model\.head=null: Flatten has no layer that could be its head$"),
    ],
)
def test_a_network_that_cannot_be_split_is_refused(net: nn.Module, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        split_head(net, 32, 3)


@pytest.mark.parametrize(
    ("built", "reason"),
    [("text", "gives a str, not a torch.nn.Module"), (nn.Flatten(), "has no parameters")],
)
def test_what_cannot_be_trained_is_refused(built: object, reason: str) -> None:
    with pytest.raises(InputError, match=rf"^model\.backbone\._target_=mine\.Net {reason}"):
        check_own(built, "mine.Net")


def test_features_with_places_are_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match=r"features of shape \[1, 4, 30, 30\], not \[B, F\]; pool them"):
        num_features(nn.Conv2d(3, 4, 3), 32)
    with pytest.raises(InputError, match=r"features of list, not \[B, F\]"):
        num_features(Lists(), 32)


class Pairs(nn.Module):
    """Asks for labels, too."""

    def forward(self, pictures: Tensor, labels: Tensor) -> Tensor:
        return pictures


class Silent(nn.Module):
    """Fails without a message."""

    def forward(self, pictures: Tensor) -> Tensor:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        # It was made for 64 pixels.
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 4)), r"Sequential .*: mat1 and mat2 shapes"),
        (Pairs(), r"Pairs .*: .*missing 1 required positional argument: 'labels'"),
        (Silent(), r"Silent .*: NotImplementedError"),
    ],
)
def test_a_network_that_fails_on_a_picture_is_refused_with_the_cause(net: nn.Module, reason: str) -> None:
    reason = reason.replace(".*:", r"fails on a tensor \[1, 3, 32, 32\]:", 1)
    with pytest.raises(InputError, match=rf"^model\.backbone: {reason}"):
        num_features(net, 32)


class Lists(nn.Module):
    """Gives no tensor."""

    def forward(self, pictures: Tensor) -> list[Tensor]:
        return [pictures]


def test_layer_groups_are_the_layers_in_their_order_also_inside_a_wrapper() -> None:
    model = ImageClassifier(Body(), nn.Linear(4, 2), (0, 0, 0), (1, 1, 1))
    groups = layer_groups(model, 4)
    names = [{name.rpartition(".")[0] for name in group} for group in groups.parameters]
    assert names == [*({f"backbone.layers.{number}"} for number in range(3)), {"head"}]
    freeze_to(model, groups, 2, train_bn=True)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert {name.rpartition(".")[0] for name in frozen} == {"backbone.layers.0", "backbone.layers.1"}


def test_a_body_of_one_layer_allows_two_groups() -> None:
    model = ImageClassifier(nn.Sequential(nn.Conv2d(3, 4, 32)), nn.Linear(4, 2), (0, 0, 0), (1, 1, 1))
    assert layer_groups(model, 2).names == ("body0", "head")
    with pytest.raises(InputError, match=r"^model\.groups=3: this backbone allows 2: give model\.groups=2$"):
        layer_groups(model, 3)


def test_a_file_of_weights_is_loaded_and_one_of_another_network_is_refused(tmp_path) -> None:
    trained, body = Body(), Body()
    torch.save(
        {f"backbone.{name}": each for name, each in trained.state_dict().items()}, tmp_path / "body.pt"
    )
    load_body(body, str(tmp_path / "body.pt"))
    torch.testing.assert_close(body(PICTURES), trained(PICTURES))
    with pytest.raises(InputError, match=r"tensors of the file have other shapes than those of Body"):
        load_body(Body(width=5), str(tmp_path / "body.pt"))
    with pytest.raises(InputError, match=r"the file lacks 2 of the backbone's 2 tensors"):
        load_body(nn.Linear(2, 2), str(tmp_path / "body.pt"))


def test_only_bodies_of_timm_are_not_the_users_own() -> None:
    assert not is_own(create_backbone("test_resnet", "none"))
    assert is_own(Body())
