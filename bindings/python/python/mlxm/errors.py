"""What can go wrong. Everything derives from MlxmError."""


class MlxmError(Exception):
    """Any error of this package."""


class LoadError(MlxmError):
    """A checkpoint cannot be loaded; the message names what is wrong with it."""


class ModelNotFoundError(LoadError, FileNotFoundError):
    """There is no such model on this machine."""


class RequestError(MlxmError, ValueError):
    """A request is refused before anything is computed."""


class TemplateError(MlxmError, ValueError):
    """The chat template is missing, or fails on these messages."""


class GenerationError(MlxmError, RuntimeError):
    """A running generation failed."""
