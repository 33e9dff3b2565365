"""The Laplacian pyramid (Burt and Adelson 1983): an image as a small one and what each doubling of it lacks.

`I_{k+1} = d(I_k)` is the image blurred and halved, `u(I)` the image doubled and blurred, and the difference images
`h_k = I_k - u(I_{k+1})` are what is lost between. Nothing is lost in all: `I_k = u(I_{k+1}) + h_k`, whatever `u` and
`d` are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

# Weights of the blur along one side, of ib., section 4: binomial, and of sum 1.
KERNEL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
REACH = len(KERNEL) // 2


def halved(images: Tensor) -> Tensor:
    """`d`: images `(batch, channels, height, width)` blurred, and every second row and column of them.

    An odd side becomes the larger half. What lies beyond the border is as the border is.
    """
    padded = functional.pad(images, (REACH, REACH, REACH, REACH), mode="replicate")
    return functional.conv2d(padded, _kernel(images), stride=2, groups=images.shape[1])


def doubled(images: Tensor, size: tuple[int, int]) -> Tensor:
    """`u`: images between whose rows and columns others are laid, blurred, of a height and width.

    At the border the weights of what is there add up to 1.
    """
    channels, kernel = images.shape[1], _kernel(images)

    def spread(values: Tensor) -> Tensor:
        wide = functional.conv_transpose2d(values, kernel[: values.shape[1]], stride=2, groups=values.shape[1])
        return wide[:, :, REACH : REACH + size[0], REACH : REACH + size[1]]

    return spread(images) / spread(torch.ones_like(images[:1, :1])).expand(-1, channels, -1, -1)


def _kernel(images: Tensor) -> Tensor:
    weights = images.new_tensor(KERNEL)
    return torch.outer(weights, weights).expand(images.shape[1], 1, -1, -1)


def gaussian_pyramid(images: Tensor, levels: int) -> list[Tensor]:
    """The images in so many sizes, the smallest first."""
    sizes = [images]
    for _ in range(levels - 1):
        sizes.append(halved(sizes[-1]))
    return sizes[::-1]


def laplacian_pyramid(images: Tensor, levels: int) -> list[Tensor]:
    """The smallest images, and the difference images of each larger size."""
    sizes = gaussian_pyramid(images, levels)
    return [sizes[0], *(large - doubled(small, _size(large)) for small, large in pairwise(sizes))]


def reconstructed(pyramid: Sequence[Tensor]) -> Tensor:
    """The images of a Laplacian pyramid."""
    images = pyramid[0]
    for difference in pyramid[1:]:
        images = doubled(images, _size(difference)) + difference
    return images


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]
