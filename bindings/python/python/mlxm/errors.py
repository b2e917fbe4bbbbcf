"""Exceptions. All of them derive from MlxmError."""


class MlxmError(Exception):
    """The base class of the exceptions of this package."""


class LoadError(MlxmError):
    """A checkpoint cannot be loaded."""


class ModelNotFoundError(LoadError, FileNotFoundError):
    """The model does not exist on this machine."""


class RequestError(MlxmError, ValueError):
    """A request is invalid or rejected; nothing was computed."""


class TemplateError(MlxmError, ValueError):
    """The chat template is missing or invalid, or cannot render the messages."""


class GenerationError(MlxmError, RuntimeError):
    """A running generation failed."""
