"""The network of FID: Inception-v3 with pytorch-fid's weights, rearranged for inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchbench.features._weights import as_rgb

SIZE, FEATURES, CLASSES = 299, 2048, 1008

# On a CPU the first layers go by fewer images than the rest: what they pass on is larger than its caches, and from
# 32 MB on glibc gives memory back to the system and takes it anew, page by page.
STEM_BATCH = 4


class FidInception(nn.Module):
    """Inception-v3 up to its last average pooling, as in the first FID (Heusel 2017).

    It differs from torchvision's in three kinds of block, whose poolings follow TensorFlow's 2015 graph.
    It computes what pytorch-fid's network computes, with less work: batch norms are folded into the convolutions,
    1x1 convolutions of one input are one convolution, and what commutes is done where the tensor is smaller (a 1x1
    convolution before an average pooling, a maximum before a ReLU). Tensors are channels-last.

    Args:
        weights: pytorch-fid's state dict; every name but that of the classifier's unused bias must match.
        dtype: Of convolutions and of what lies between them. Resize, last pooling and classifier are in float32.

    Attributes:
        classifier: ``float32 (1008, 2048)``, the weights of the classifier on top.
    """

    classifier: Tensor

    def __init__(self, weights: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        network = _with_batch_norms(weights)
        self.stem = _stem(network)
        self.blocks = _blocks(network)
        self.to(dtype).to(memory_format=torch.channels_last).requires_grad_(False)
        self.dtype = dtype
        self.register_buffer("classifier", weights["fc.weight"])

    def logits(self, features: Tensor) -> Tensor:
        """``float (B, 2048)`` to logits ``float (B, 1008)``, without the classifier's bias.

        The first Inception Score left it out, and so has every one since that compares with it.
        """
        return features @ self.classifier.T

    def forward(self, images: Tensor) -> Tensor:
        """``float32 (B, C, H, W)`` in [-1, 1] to ``float32 (B, 2048)``."""
        parts = images.split(STEM_BATCH if images.device.type == "cpu" else len(images))
        maps: Tensor = self.blocks(torch.cat([self.stem(self._resized(part)) for part in parts]))
        return maps.mean(dim=(2, 3), dtype=torch.float32)

    def _resized(self, images: Tensor) -> Tensor:
        """To 299x299 by pytorch-fid's kernel: bilinear, half-pixel centres, no antialiasing.

        The kernel is linear, so that it commutes with pytorch-fid's change of range.
        """
        rgb = as_rgb(images).contiguous(memory_format=torch.channels_last)
        return nn.functional.interpolate(rgb, size=(SIZE, SIZE), mode="bilinear", align_corners=False).to(self.dtype)


class Branches(nn.Module):
    """Ways from one input, side by side; their outputs are concatenated in order.

    Args:
        shared: Ways that begin with a 1x1 convolution: that, and the rest of the way. The convolutions are one.
        apart: The other ways.
    """

    def __init__(self, shared: Sequence[tuple[nn.Conv2d, nn.Module]], apart: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        heads = [head for head, _ in shared]
        self.heads = _side_by_side(heads) if heads else nn.Identity()
        self.widths = [head.out_channels for head in heads]
        self.tails = nn.ModuleList([tail for _, tail in shared])
        self.apart = nn.ModuleList(apart)

    def forward(self, maps: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C', H', W')``."""
        heads = self.heads(maps).split(self.widths, dim=1) if self.widths else ()
        outs = [tail(head) for tail, head in zip(self.tails, heads, strict=True)]
        return torch.cat([*outs, *(way(maps) for way in self.apart)], dim=1)


def _with_batch_norms(weights: Mapping[str, Tensor]) -> Any:
    """The network as it was trained, built from torchvision's and pytorch-fid's blocks, in evaluation mode."""
    from pytorch_fid import inception as fid
    from torchvision.models import inception_v3

    with torch.device("meta"):
        network = inception_v3(weights=None, num_classes=CLASSES, aux_logits=False, init_weights=False)
        network.Mixed_5b = fid.FIDInceptionA(192, pool_features=32)
        network.Mixed_5c = fid.FIDInceptionA(256, pool_features=64)
        network.Mixed_5d = fid.FIDInceptionA(288, pool_features=64)
        for name, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            setattr(network, name, fid.FIDInceptionC(768, channels_7x7=width))
        network.Mixed_7b = fid.FIDInceptionE_1(1280)
        network.Mixed_7c = fid.FIDInceptionE_2(2048)
    network.dropout = network.fc = nn.Identity()
    kept = {name: value for name, value in weights.items() if not name.startswith("fc.")}
    network.load_state_dict(kept, strict=True, assign=True)
    return network.eval()


def _stem(network: Any) -> nn.Sequential:
    """``(B, 3, 299, 299)`` to ``(B, 192, 35, 35)``."""
    return nn.Sequential(
        *_chain(network, "Conv2d_1a_3x3", "Conv2d_2a_3x3"),
        _folded(network.Conv2d_2b_3x3),
        nn.MaxPool2d(3, stride=2),
        nn.ReLU(inplace=True),
        *_chain(network, "Conv2d_3b_1x1"),
        _folded(network.Conv2d_4a_3x3),
        nn.MaxPool2d(3, stride=2),
        nn.ReLU(inplace=True),
    )


def _blocks(network: Any) -> nn.Sequential:
    """``(B, 192, 35, 35)`` to ``(B, 2048, 8, 8)``."""
    return nn.Sequential(
        *(_block_a(getattr(network, name)) for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d")),
        _block_b(network.Mixed_6a),
        *(_block_c(getattr(network, name)) for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e")),
        _block_d(network.Mixed_7a),
        _block_e(network.Mixed_7b, average=True),
        _block_e(network.Mixed_7c, average=False),
    )


def _block_a(block: Any) -> Branches:
    return Branches(
        [
            (_folded(block.branch1x1), nn.ReLU()),
            _way(block, "branch5x5_1", "branch5x5_2"),
            _way(block, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
            _averaged(block.branch_pool),
        ]
    )


def _block_b(block: Any) -> Branches:
    double = _chain(block, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
    return Branches([], [_chain(block, "branch3x3"), double, nn.MaxPool2d(3, stride=2)])


def _block_c(block: Any) -> Branches:
    return Branches(
        [
            (_folded(block.branch1x1), nn.ReLU()),
            _way(block, "branch7x7_1", "branch7x7_2", "branch7x7_3"),
            _way(block, *(f"branch7x7dbl_{i}" for i in range(1, 6))),
            _averaged(block.branch_pool),
        ]
    )


def _block_d(block: Any) -> Branches:
    ways = [
        _way(block, "branch3x3_1", "branch3x3_2"),
        _way(block, *(f"branch7x7x3_{i}" for i in range(1, 5))),
    ]
    return Branches(ways, [nn.MaxPool2d(3, stride=2)])


def _block_e(block: Any, average: bool) -> Branches:
    """The last two blocks; ``average`` or, as TensorFlow's graph has it in the very last one, maximum pooling."""
    single, single_rest = _way(block, "branch3x3_1")
    double, double_rest = _way(block, "branch3x3dbl_1", "branch3x3dbl_2")
    forks = [
        Branches([], [_chain(block, f"{name}a"), _chain(block, f"{name}b")])
        for name in ("branch3x3_2", "branch3x3dbl_3")
    ]
    ways = [
        (_folded(block.branch1x1), nn.ReLU()),
        (single, nn.Sequential(single_rest, forks[0])),
        (double, nn.Sequential(double_rest, forks[1])),
    ]
    if average:
        return Branches([*ways, _averaged(block.branch_pool)])
    return Branches(ways, [nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), *_chain(block, "branch_pool"))])


def _way(block: Any, first: str, *others: str) -> tuple[nn.Conv2d, nn.Module]:
    """A way that begins with a 1x1 convolution, as :class:`Branches` takes it."""
    return _folded(getattr(block, first)), nn.Sequential(nn.ReLU(), *_chain(block, *others))


def _averaged(layer: Any) -> tuple[nn.Conv2d, nn.Module]:
    """An average pooling and ``layer``, a 1x1 convolution, which goes first: without zeros in the mean they commute."""
    pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return _folded(layer), nn.Sequential(pool, nn.ReLU(inplace=True))


def _chain(block: Any, *names: str) -> nn.Sequential:
    """Layers of ``block``, one after the other, each with its ReLU."""
    layers = [_folded(getattr(block, name)) for name in names]
    return nn.Sequential(*(module for layer in layers for module in (layer, nn.ReLU(inplace=True))))


def _folded(layer: Any) -> nn.Conv2d:
    """A convolution without bias and the batch norm after it as one convolution, multiplied out in float64."""
    conv: nn.Conv2d = fuse_conv_bn_eval(layer.conv.double(), layer.bn.double())
    return conv.float()


def _side_by_side(convs: Sequence[nn.Conv2d]) -> nn.Conv2d:
    """1x1 convolutions of one input as one, whose output channels are theirs in order."""
    with torch.device("meta"):
        one = nn.Conv2d(convs[0].in_channels, sum(conv.out_channels for conv in convs), kernel_size=1)
    one.weight = nn.Parameter(torch.cat([conv.weight.detach() for conv in convs]))
    one.bias = nn.Parameter(torch.cat([conv.bias.detach() for conv in convs if conv.bias is not None]))
    return one
