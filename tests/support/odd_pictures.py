"""Picture files of every kind that people have, made from one photo."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms

Save = Callable[[Image.Image, Path], None]


def write_odd_pictures(photo: Path, folder: Path) -> list[Path]:
    """Write about 75 files into a folder, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(photo) as opened:
        picture = _large(opened.convert("RGB"))
    for name, image, options in [
        *_turned(picture),
        *_modes(picture),
        *_shapes(picture),
        *_encodings(picture),
        *_jpegs(picture),
        *_colours(picture),
    ]:
        image.save(folder / name, **options)
    return sorted(folder.iterdir())


def _large(picture: Image.Image) -> Image.Image:
    """Return the photo at 700 x 500 pixels with fine grain, as cameras leave it."""
    pixels = np.asarray(picture.resize((700, 500), Image.Resampling.BICUBIC), dtype=np.float64)
    grain = np.random.default_rng(0).normal(0, 12, pixels.shape)
    return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))


def _turned(picture: Image.Image):
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        for suffix in ("jpg", "png", "webp", "tif"):
            yield f"turned-{orientation}.{suffix}", picture, {"exif": exif}


def _modes(picture: Image.Image):
    alpha = Image.linear_gradient("L").resize(picture.size)
    grey = picture.convert("L")
    see_through = picture.copy()
    see_through.putalpha(alpha)
    palette = picture.quantize(32)
    yield "cmyk.jpg", picture.convert("CMYK"), {}
    yield "cmyk.tif", picture.convert("CMYK"), {}
    yield "grey.jpg", grey, {}
    yield "grey.pgm", grey, {}
    yield "grey-alpha.png", see_through.convert("LA"), {}
    yield "alpha.png", see_through, {}
    yield "alpha.webp", see_through, {}
    yield "palette.png", palette, {}
    yield "palette-alpha.png", palette, {"transparency": 3}
    yield "palette.gif", palette, {"transparency": 3}
    yield "colour-key.png", picture, {"transparency": picture.getpixel((0, 0))}
    yield "bits.png", grey.convert("1"), {}
    deep = Image.fromarray(np.asarray(grey, dtype=np.uint16) * 257)
    yield "deep.png", deep, {}
    yield "deep.tif", deep, {}
    yield "float.tif", Image.fromarray(np.asarray(grey, dtype=np.float32) / 255), {}
    yield "integers.tif", Image.fromarray(np.asarray(grey, dtype=np.int32)), {}
    yield "lab.tif", picture.convert("YCbCr"), {}


def _shapes(picture: Image.Image):
    for width, height in ((1, 1), (3, 2), (20, 20), (64, 64), (65, 64), (80, 640), (640, 64), (2400, 1800)):
        yield f"shape-{width}-{height}.jpg", picture.resize((width, height)), {"quality": 92}
    yield "shape-tall.png", picture.resize((60, 600)), {}


def _encodings(picture: Image.Image):
    yield "progressive.jpg", picture, {"progressive": True}
    yield "subsampled.jpg", picture, {"subsampling": 2, "quality": 40}
    yield "lossless.webp", picture, {"lossless": True}
    yield "interlaced.bmp", picture, {}
    yield "plain.ppm", picture, {}
    yield "compressed.tif", picture, {"compression": "tiff_lzw"}
    frames = [picture.quantize(16), picture.rotate(180).quantize(16)]
    yield "moving.gif", frames[0], {"save_all": True, "append_images": frames[1:]}
    yield "moving.webp", picture, {"save_all": True, "append_images": [picture.rotate(180)]}
    yield "pages.tif", picture, {"save_all": True, "append_images": [picture.rotate(180)]}


def _jpegs(picture: Image.Image):
    large = picture.resize((1401, 1050))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 8
    packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    yield "turned-large.jpg", large, {"exif": exif}
    yield "turned-by-xmp.jpg", picture, {"xmp": packet}
    yield "cmyk-large.jpg", large.convert("CMYK"), {}
    yield "progressive-large.jpg", large, {"progressive": True, "subsampling": 1}
    yield "full-colour.jpg", picture, {"subsampling": 0}
    yield "half-colour.jpg", picture, {"subsampling": 1}
    yield "rgb.jpg", picture, {"keep_rgb": True}
    yield "restarts.jpg", picture, {"restart_marker_rows": 1}
    yield "two.jpg", picture, {"format": "MPO", "save_all": True, "append_images": [picture.rotate(180)]}


def _colours(picture: Image.Image):
    see_through = picture.copy()
    see_through.putalpha(Image.linear_gradient("L").resize(picture.size))
    for suffix in ("jpg", "png", "webp"):
        yield f"profile.{suffix}", picture, {"icc_profile": _swapped_profile()}
    yield "alpha.bmp", see_through, {}
    yield "alpha-palette.png", see_through.quantize(64), {}


def _swapped_profile() -> bytes:
    """Return a colour profile that shows red as blue: whoever applies it cannot be overlooked."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"____", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"____", b"bXYZ", 1)
