"""The codec of the paper: RNN-Conv networks, 8-bit codes, trained tables (RNNC)."""

from xraycodec.codecs.rnn_conv.codec import RnnConv

__all__ = ["RnnConv"]
