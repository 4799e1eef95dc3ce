"""What can go wrong with a model server. Their words name models and limits, never what a prompt or an answer says."""


class ServerTrouble(Exception):
    """Base of everything that keeps a model server from answering."""

    def diagnosis(self) -> str:
        """Return one sentence: what is wrong, and what mends it."""
        return str(self)


class ServerDown(ServerTrouble):
    """Nobody answers at the server's address, or the model is not loaded."""


class ServerStalled(ServerTrouble):
    """A stream said nothing for too long: other streams of the server may hang as well."""


class OutOfTime(ServerTrouble):
    """The request's deadline has passed."""


class ServerRefused(ServerTrouble):
    """The server answered with an error of its own."""


class UnfitAnswer(ServerTrouble):
    """The server answered something that its profile does not allow."""


class ProfileMismatch(ServerTrouble):
    """The server's model has other tensors than the profile says."""
