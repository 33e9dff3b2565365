"""One image to the form of all: laid on white, grey or RGB, cropped or bordered, resized."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from seqgen.config import Fit
from seqgen.data.image_pixels import Form


def fitted(pixels: NDArray[np.uint8], form: Form, fit: Fit) -> NDArray[np.uint8]:
    """An image in the wanted form, itself if it has it already.

    Args:
        pixels (NDArray[np.uint8]): `(height, width, channels)`, 1 to 4 channels as in `Form`.
        form (Form): height, width and 1 or 3 channels.
        fit (Fit): what becomes of other proportions, `crop` or `pad`.

    Returns:
        NDArray[np.uint8]: `(height, width, channels)`.
    """
    if pixels.shape[2] in (2, 4):
        pixels = _on_white(pixels)
    if pixels.shape[2] < form.channels:
        pixels = np.repeat(pixels, form.channels, axis=2)
    if pixels.shape == form:
        return pixels
    image = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
    if image.mode == "RGB" and form.channels == 1:
        image = image.convert("L")
    if image.size != (form.width, form.height):
        image = _cropped(image, form) if fit == "crop" else _bordered(image, form)
    return np.asarray(image).reshape(form)


def _on_white(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The last channel is opacity: colour * a + white * (1 - a), in whole numbers."""
    wide = pixels.astype(np.uint16)
    colour, alpha = wide[:, :, :-1], wide[:, :, -1:]
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _cropped(image: Image.Image, form: Form) -> Image.Image:
    """The largest part around the centre that has the right proportions, resized; shrinking averages."""
    return ImageOps.fit(image, (form.width, form.height), Image.Resampling.BICUBIC)


def _bordered(image: Image.Image, form: Form) -> Image.Image:
    """All of the image, resized, on the colour that is the median of its own edge."""
    scale = min(form.width / image.width, form.height / image.height)
    inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = tuple(np.median(edge, axis=0).astype(int).tolist())
    canvas = Image.new(image.mode, (form.width, form.height), colour)
    canvas.paste(
        image.resize(inner, Image.Resampling.BICUBIC), ((form.width - inner[0]) // 2, (form.height - inner[1]) // 2)
    )
    return canvas
