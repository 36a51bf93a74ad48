"""Lossy codecs that were compared with the wavelet and lost: `benchmarks/lossy_candidates.py`.

Nothing that ships comes from here. They stay so that the comparison can be run again.
"""
