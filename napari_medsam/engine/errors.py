"""Errors a user can cause: each carries one sentence saying what is wrong and what to do."""


class MedSamError(Exception):
    """Base of every error whose text is shown to the user as it is, without a traceback."""


class ImageError(MedSamError):
    """A file or array cannot be used as an image."""


class PromptError(MedSamError):
    """A prompt cannot be used: outside the image, empty, or of a kind the model does not take."""


class WeightsError(MedSamError):
    """Weights are missing, damaged, or belong to another model."""


class JournalError(MedSamError):
    """A journal cannot be opened, replayed, or written."""


class SaveError(MedSamError):
    """A result could not be written; what was there before is untouched."""


class MaskError(MedSamError):
    """A mask cannot be cleaned or labelled: its type, layout or place, or an option that does not fit it."""


class Cancelled(Exception):
    """The task was cancelled by the user or overtaken by a newer request; not an error."""
