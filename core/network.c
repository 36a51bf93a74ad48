/* Networks of integers: checked, laid out for the kernels, evaluated operator by operator. */
#include "xrc_network.h"

#include <string.h>

#include "kernels.h"

enum {
    WEIGHT_LIMIT = 64,
    SUM_LIMIT = 1 << 24,
    SHIFT_LIMIT = 20,
    EXPONENT_LIMIT = 30,
    PEAK = 255,
    ZERO_POINT = 128,
    ALIGNMENT = 64,
};

typedef enum { UNSIGNED, SIGNED, WIDE } tensor_kind;

typedef struct {
    xrc_operator op;   /* its pointers are not used after the build */
    tensor_kind kind;  /* of its result */
    int32_t slot;      /* buffer that holds its result; -1 for a head */
    int32_t fused;     /* this addition is done by the convolution before it */
    xrc_layer layer;
} node;

struct xrc_network {
    int32_t channels, count, slots, widest; /* widest: largest stride of a result */
    int32_t copied;                         /* the input is read by taps beyond its border */
    const xrc_kernels *kernels;
    node nodes[];
};

static size_t aligned(size_t size) { return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1); }

int32_t xrc_network_stride(int32_t channels) { return (channels + XRC_LANES - 1) / XRC_LANES * XRC_LANES; }

int32_t xrc_network_channels(const xrc_network *net) { return net->channels; }

int xrc_network_gives(const xrc_network *net, int32_t operator, int is_wide, int32_t channels)
{
    return operator >= 0 && operator < net->count && net->nodes[operator].op.channels == channels
           && net->nodes[operator].kind == (is_wide ? WIDE : UNSIGNED);
}

static int32_t blocks_of(int32_t channels) { return (channels + XRC_LANES - 1) / XRC_LANES; }

/* ---- rules of spec/network.md, 3 and 4 ---- */

typedef struct {
    int32_t channels;
    tensor_kind kind;
} tensor;

static tensor tensor_of(int32_t number, int32_t channels, const xrc_operator *operators)
{
    if (number == 0)
        return (tensor){channels, UNSIGNED};
    const xrc_operator *op = &operators[number - 1];
    tensor_kind kind = op->kind == XRC_HEAD                              ? WIDE
                       : op->kind == XRC_CONVOLUTION && op->is_signed ? SIGNED
                                                                       : UNSIGNED;
    return (tensor){op->channels, kind};
}

/* B1 to B4 for each output channel. */
static int sums_are_exact(const xrc_operator *op, int32_t inputs)
{
    const int64_t weights = (int64_t)inputs * op->kernel * op->kernel;
    const int32_t limit = op->kind == XRC_HEAD ? EXPONENT_LIMIT : SHIFT_LIMIT;
    for (int32_t channel = 0; channel < op->channels; channel++) {
        const int8_t *weight = op->weight + channel * weights;
        const int64_t bias = op->bias[channel];
        int64_t peak = bias < 0 ? -bias : bias;
        for (int64_t i = 0; i < weights; i++) {
            if (weight[i] > WEIGHT_LIMIT || weight[i] < -WEIGHT_LIMIT)
                return 0;
            peak += PEAK * (weight[i] < 0 ? -weight[i] : weight[i]);
        }
        const int32_t scale = op->scale[channel];
        if (peak >= SUM_LIMIT || scale < 0 || scale > limit)
            return 0;
        if (op->kind == XRC_HEAD && peak << scale >= (int64_t)1 << 31)
            return 0;
    }
    return 1;
}

static int is_sound(int32_t channels, int32_t count, const xrc_operator *operators)
{
    if (channels < 1 || channels > XRC_MAX_CHANNELS || count < 1 || count > XRC_MAX_OPERATORS)
        return 0;
    for (int32_t n = 0; n < count; n++) {
        const xrc_operator *op = &operators[n];
        if (op->source < 0 || op->source > n || op->channels < 1 || op->channels > XRC_MAX_CHANNELS)
            return 0;
        const tensor source = tensor_of(op->source, channels, operators);
        if (source.kind != UNSIGNED)
            return 0;
        if (op->kind == XRC_ADDITION) {
            if (op->change < 1 || op->change > n || op->channels != source.channels)
                return 0;
            const tensor change = tensor_of(op->change, channels, operators);
            if (change.kind != SIGNED || change.channels != source.channels)
                return 0;
            continue;
        }
        if (op->kind != XRC_CONVOLUTION && op->kind != XRC_HEAD)
            return 0;
        if (op->kernel != 1 && !(op->kernel == 3 && op->kind == XRC_CONVOLUTION))
            return 0;
        if (!op->weight || !op->bias || !op->scale || !sums_are_exact(op, source.channels))
            return 0;
    }
    return 1;
}

/* ---- layout ---- */

static size_t layer_size(const xrc_operator *op, int32_t inputs)
{
    const size_t blocks = (size_t)blocks_of(op->channels), groups = ((size_t)inputs + 3) / 4;
    const size_t taps = (size_t)op->kernel * (size_t)op->kernel;
    return aligned(blocks * taps * groups * XRC_LANES * 4) + 3 * aligned(blocks * XRC_LANES * 4);
}

size_t xrc_network_size(int32_t channels, int32_t count, const xrc_operator *operators)
{
    if (!is_sound(channels, count, operators))
        return 0;
    size_t size = aligned(sizeof(xrc_network) + (size_t)count * sizeof(node));
    for (int32_t n = 0; n < count; n++)
        if (operators[n].kind != XRC_ADDITION)
            size += layer_size(&operators[n],
                               tensor_of(operators[n].source, channels, operators).channels);
    return size;
}

/* Lay out a layer at `memory`; return what follows it. */
static char *lay_out(const xrc_operator *op, int32_t inputs, xrc_layer *layer, char *memory)
{
    const int32_t blocks = blocks_of(op->channels), groups = (inputs + 3) / 4;
    const int32_t taps = op->kernel * op->kernel;
    int8_t *weight = (int8_t *)memory;
    const size_t weight_size = aligned((size_t)blocks * (size_t)taps * (size_t)groups * XRC_LANES * 4);
    const size_t vector_size = aligned((size_t)blocks * XRC_LANES * 4);
    int32_t *bias = (int32_t *)(memory + weight_size);
    int32_t *scale = (int32_t *)(memory + weight_size + vector_size);
    float *factor = (float *)(memory + weight_size + 2 * vector_size);
    memset(memory, 0, weight_size + 3 * vector_size);
    for (int32_t channel = 0; channel < op->channels; channel++) {
        const int32_t block = channel / XRC_LANES, lane = channel % XRC_LANES;
        bias[channel] = op->bias[channel];
        scale[channel] = op->scale[channel];
        factor[channel] = 1.0f / (float)(1 << op->scale[channel]);
        for (int32_t input = 0; input < inputs; input++)
            for (int32_t tap = 0; tap < taps; tap++)
                weight[((((ptrdiff_t)block * taps + tap) * groups + input / 4) * XRC_LANES + lane) * 4
                       + input % 4] = op->weight[((ptrdiff_t)channel * inputs + input) * taps + tap];
    }
    *layer = (xrc_layer){
        .taps = taps,
        .groups = groups,
        .in_stride = xrc_network_stride(inputs),
        .blocks = blocks,
        .out_stride = blocks * XRC_LANES,
        .zero = op->is_signed ? ZERO_POINT : 0,
        .weight = weight,
        .bias = bias,
        .scale = scale,
        .factor = factor,
    };
    return memory + weight_size + 3 * vector_size;
}

/* The last operator that reads each tensor, or the count if none does: outputs are copied at once. */
static void find_last_readers(const xrc_network *net, int32_t last[XRC_MAX_OPERATORS + 1])
{
    for (int32_t t = 0; t <= net->count; t++)
        last[t] = t - 1; /* not read by any: free at once */
    for (int32_t n = 0; n < net->count; n++) {
        const node *here = &net->nodes[n];
        /* A convolution reads its source while a fused addition's result is written. */
        const int32_t until = n + 1 < net->count && here[1].fused ? n + 1 : n;
        last[here->op.source] = until;
        if (here->op.kind == XRC_ADDITION)
            last[here->op.change] = n;
    }
}

/* Give every result a buffer, and use again those that are no longer read. */
static void assign_slots(xrc_network *net)
{
    int32_t last[XRC_MAX_OPERATORS + 1], until[XRC_MAX_OPERATORS + 1];
    find_last_readers(net, last);
    net->slots = 0;
    for (int32_t n = 0; n < net->count; n++) {
        node *here = &net->nodes[n];
        here->slot = -1;
        if (here->op.kind == XRC_HEAD)
            continue;
        int32_t slot = 0;
        while (slot < net->slots && until[slot] >= n)
            slot++;
        if (slot == net->slots)
            net->slots++;
        here->slot = slot;
        until[slot] = last[n + 1] > n ? last[n + 1] : n;
    }
}

xrc_status xrc_network_build(int32_t channels, int32_t count, const xrc_operator *operators,
                             void *memory, size_t size)
{
    const size_t needed = xrc_network_size(channels, count, operators);
    if (!needed)
        return XRC_MODEL;
    if (!memory || size < needed || (uintptr_t)memory % ALIGNMENT)
        return XRC_ARGUMENT;
    xrc_network *net = memory;
    *net = (xrc_network){.channels = channels, .count = count, .kernels = xrc_kernels_here()};
    char *next = (char *)memory + aligned(sizeof(xrc_network) + (size_t)count * sizeof(node));
    int32_t readers[XRC_MAX_OPERATORS + 1] = {0};
    for (int32_t n = 0; n < count; n++) {
        const xrc_operator *op = &operators[n];
        const int32_t inputs = tensor_of(op->source, channels, operators).channels;
        node *here = &net->nodes[n];
        *here = (node){.op = *op, .kind = tensor_of(n + 1, channels, operators).kind};
        readers[op->source]++;
        if (op->kind == XRC_ADDITION)
            readers[op->change]++;
        else
            next = lay_out(op, inputs, &here->layer, next);
        if (op->source == 0 && op->kernel == 3 && op->kind == XRC_CONVOLUTION) {
            net->copied = 1;
            net->widest = net->widest > xrc_network_stride(channels) ? net->widest
                                                                     : xrc_network_stride(channels);
        }
        if (op->kind != XRC_HEAD && xrc_network_stride(op->channels) > net->widest)
            net->widest = xrc_network_stride(op->channels);
    }
    /* An addition of what the operator before it gave, and nothing else reads, is done with it. */
    for (int32_t n = 1; n < count; n++) {
        node *here = &net->nodes[n];
        here->fused = here->op.kind == XRC_ADDITION && here->op.change == n && readers[n] == 1
                      && here->op.source != n;
    }
    assign_slots(net);
    return XRC_OK;
}

/* ---- evaluation ---- */

/* Where a tensor lies: pixel (r, c) is at base + r * pitch + c * stride. */
typedef struct {
    uint8_t *base;
    ptrdiff_t pitch, stride;
} plane;

static size_t slot_size(const xrc_network *net, int32_t rows, int32_t columns)
{
    return aligned(((size_t)rows + 2) * ((size_t)columns + 2) * (size_t)net->widest + ALIGNMENT);
}

size_t xrc_network_scratch(const xrc_network *net, int32_t rows, int32_t columns)
{
    if (rows < 1 || columns < 1 || rows > XRC_MAX_SIDE || columns > XRC_MAX_SIDE)
        return 0;
    const uint64_t pixels = (uint64_t)(rows + 2) * (uint64_t)(columns + 2);
    if (net->widest && pixels > ((uint64_t)1 << 31) / (uint64_t)net->widest)
        return 0;
    return (size_t)(net->slots + net->copied) * slot_size(net, rows, columns) + ALIGNMENT;
}

static plane plane_in(const xrc_network *net, int32_t slot, int32_t stride, int32_t rows,
                      int32_t columns, char *scratch)
{
    uint8_t *corner = (uint8_t *)scratch + (size_t)slot * slot_size(net, rows, columns);
    const ptrdiff_t pitch = (ptrdiff_t)(columns + 2) * stride;
    return (plane){corner + pitch + stride, pitch, stride};
}

static void clear_border(plane p, int32_t rows, int32_t columns)
{
    memset(p.base - p.pitch - p.stride, 0, (size_t)p.pitch);
    memset(p.base + rows * p.pitch - p.stride, 0, (size_t)p.pitch);
    for (int32_t row = 0; row < rows; row++) {
        memset(p.base + row * p.pitch - p.stride, 0, (size_t)p.stride);
        memset(p.base + row * p.pitch + columns * p.stride, 0, (size_t)p.stride);
    }
}

static void copy_out(plane p, int32_t rows, int32_t columns, uint8_t *out)
{
    const size_t row_size = (size_t)columns * (size_t)p.stride;
    for (int32_t row = 0; row < rows; row++)
        memcpy(out + (size_t)row * row_size, p.base + row * p.pitch, row_size);
}

static void convolve(const xrc_network *net, const node *here, plane source, const plane *added,
                     plane result, int32_t rows, int32_t columns)
{
    for (int32_t row = 0; row < rows; row++) {
        const uint8_t *first = source.base + row * source.pitch;
        const uint8_t *taps[3] = {first, 0, 0};
        if (here->layer.taps == 9) {
            first -= source.stride;
            taps[0] = first - source.pitch, taps[1] = first, taps[2] = first + source.pitch;
        }
        net->kernels->convolve(&here->layer, taps, columns,
                               added ? added->base + row * added->pitch : NULL,
                               result.base + row * result.pitch);
    }
}

static void add(const plane a, const plane b, plane result, int32_t rows, int32_t columns)
{
    for (int32_t row = 0; row < rows; row++)
        for (ptrdiff_t i = 0; i < columns * result.stride; i++) {
            const int32_t sum = a.base[row * a.pitch + i] + b.base[row * b.pitch + i] - ZERO_POINT;
            result.base[row * result.pitch + i] = (uint8_t)(sum < 0 ? 0 : sum > PEAK ? PEAK : sum);
        }
}

xrc_status xrc_network_run(const xrc_network *net, int32_t rows, int32_t columns,
                           const uint8_t *input, void *const *outputs, void *scratch, size_t size)
{
    const size_t needed = xrc_network_scratch(net, rows, columns);
    if (!needed || size < needed || !input || !outputs || (uintptr_t)scratch % ALIGNMENT)
        return XRC_ARGUMENT;
    const int32_t in_stride = xrc_network_stride(net->channels);
    plane planes[XRC_MAX_OPERATORS + 1];
    /* The kernels read bytes only; nothing is ever written through this pointer. */
    planes[0] = (plane){(uint8_t *)input, (ptrdiff_t)columns * in_stride, in_stride};
    if (net->copied) {
        plane copy = plane_in(net, net->slots, in_stride, rows, columns, scratch);
        clear_border(copy, rows, columns);
        for (int32_t row = 0; row < rows; row++)
            memcpy(copy.base + row * copy.pitch, input + row * planes[0].pitch, (size_t)planes[0].pitch);
        planes[0] = copy;
    }
    for (int32_t n = 0; n < net->count; n++) {
        const node *here = &net->nodes[n];
        const plane source = planes[here->op.source];
        if (here->op.kind == XRC_HEAD) {
            if (outputs[n])
                for (int32_t row = 0; row < rows; row++)
                    net->kernels->head(&here->layer, source.base + row * source.pitch, columns,
                                       here->op.channels,
                                       (int32_t *)outputs[n] + (ptrdiff_t)row * columns * here->op.channels);
            continue;
        }
        if (here->fused && !outputs[n - 1]) {
            planes[n + 1] = planes[n];
        } else {
            const node *next = n + 1 < net->count ? here + 1 : NULL;
            const int fuses = next && next->fused && !outputs[n];
            const int32_t slot = fuses ? next->slot : here->slot;
            plane result = plane_in(net, slot, xrc_network_stride(here->op.channels), rows, columns, scratch);
            clear_border(result, rows, columns);
            if (here->op.kind == XRC_ADDITION)
                add(source, planes[here->op.change], result, rows, columns);
            else
                convolve(net, here, source, fuses ? &planes[next->op.source] : NULL, result, rows, columns);
            planes[n + 1] = result;
        }
        if (outputs[n])
            copy_out(planes[n + 1], rows, columns, outputs[n]);
    }
    return XRC_OK;
}
