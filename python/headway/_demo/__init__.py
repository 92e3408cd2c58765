"""What `headway demo` needs: a real model, its labels and a few photographs. Needs the extra `demo`."""

from ._assets import labels, model_file, picture_folder

__all__ = ["labels", "model_file", "picture_folder"]
