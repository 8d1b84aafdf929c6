"""Bytes to pixels and back: what type an upload is, how it is read safely, how an overlay is written.

Public names: :class:`app.codecs.decoder.FilmDecoder`, :class:`app.codecs.limits.DecodeLimits`,
:func:`app.codecs.png.encode_png`, :func:`app.codecs.png.encode_palette_png`, :func:`app.codecs.sniffing.sniff`.
"""
