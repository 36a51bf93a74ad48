/* What a call of the core reports. */
#ifndef XRC_STATUS_H
#define XRC_STATUS_H

#include <stdint.h>

typedef enum {
    XRC_OK = 0,
    XRC_ARGUMENT = 1, /* a shape or size that contradicts another */
    XRC_MODEL = 2,    /* a network breaks a rule of spec/network.md */

    /* A payload, spec/lattice.md, 6.2, or its stream, spec/mixture.md, 6.1: */
    XRC_NO_PAYLOAD = 10,   /* pixels, but no payload */
    XRC_NO_PIXELS = 11,    /* a payload, but no pixels */
    XRC_MODE = 12,         /* neither coded nor plain */
    XRC_STREAM_SIZE = 13,  /* not 8 bytes and a multiple of 4 */
    XRC_STREAM_STATE = 14, /* a start state below 2^32 */
    XRC_ENDS_EARLY = 15,   /* words or plain bits run out */
    XRC_STREAM_END = 16,   /* words are left, or the last state is another */
    XRC_PLAIN_SIZE = 17,   /* bytes are left after plain pixels */
    XRC_PLAIN_BITS = 18,   /* bits are set after plain pixels */
    XRC_PLAIN_LEVEL = 19,  /* a level above the peak */
} xrc_status;

/* Where a payload broke a rule. */
typedef struct {
    int32_t layer;
    int32_t pixels; /* plain: of the layer */
    int32_t level;  /* plain: the one above the peak */
} xrc_fault;

#endif
