"""Codecs: each turns an image into tile payloads and back, behind one small interface."""
