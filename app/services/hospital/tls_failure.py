"""Why there is no TLS connection, in OpenSSL's fixed words, which name nobody."""

import ssl


def tls_failure(error: BaseException) -> str | None:
    """Say what was wrong with a certificate or a handshake.

    Parameters
    ----------
    error
        What was raised, by whatever library: its causes are looked through.

    Returns
    -------
    str or None
        E.g. ``"certificate has expired"``; None where the failure is not one of TLS.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    return str(getattr(cause, "verify_message", "") or cause.reason or "the handshake failed")
