/* The walk over a tile, once for both directions (spec/lattice.md, 6). */
#include "lattice.h"

#include <string.h>

#include "coder.h"
#include "kernels.h"
#include "planes.h"

enum { ALIGNMENT = 64, MAX_LEVELS = 16, CODED = 0, PLAIN = 1 };

/* ---- memory ---- */

typedef struct {
    char *base; /* NULL: only count */
    size_t used;
} arena;

static size_t aligned(size_t size) { return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1); }

static void *take(arena *a, size_t size)
{
    char *taken = a->base ? a->base + a->used : NULL;
    a->used += aligned(size);
    return taken;
}

typedef struct {
    int32_t rows, columns;
} extent;

static int32_t half(int32_t length) { return (length + 1) / 2; }

/* Shapes of all levels, level 0 first; at least as many as layers. */
static int32_t shapes_of(int32_t rows, int32_t columns, extent shapes[MAX_LEVELS])
{
    int32_t count = 0;
    shapes[count++] = (extent){rows, columns};
    while (rows > 1 || columns > 1 || count < XRC_LAYERS) {
        rows = half(rows), columns = half(columns);
        shapes[count++] = (extent){rows, columns};
    }
    return count;
}

static int32_t set_of(int32_t level) { return level < XRC_SETS ? level : XRC_SETS - 1; }

static int32_t layer_of(int32_t level)
{
    return XRC_LAYERS - 1 - (level < XRC_LAYERS ? level : XRC_LAYERS - 1);
}

/* What a tile is worked on with. */
typedef struct {
    const xrc_lattice_model *model;
    const xrc_lattice_setting *setting;
    extent shapes[MAX_LEVELS];
    int32_t count;             /* of levels */
    int32_t *values[2];        /* sub-planes of the level that is coded and of the one before */
    uint8_t *pixels;           /* input of a network, and the state that it leaves */
    uint8_t *state;
    int32_t *parameters;       /* (row, column, parameter) */
    int32_t *predictions;
    uint8_t *scales;
    xrc_feature_rows *features;
    int32_t *errors;
    const xrc_kernels *kernels;
    xrc_adaptation *adaptation;
    void *network_scratch;
    size_t network_size;
    uint32_t *starts, *sizes;  /* intervals of a layer: encoders */
    uint16_t *coded;           /* levels of a layer, in order: encoders */
    uint8_t *words;
    size_t words_size;
} tile;

static int32_t widest_state(const xrc_lattice_model *model)
{
    int32_t widest = 0;
    for (int32_t i = 0; i < XRC_SETS; i++)
        if (model->channels[i] > widest)
            widest = model->channels[i];
    return widest;
}

static void lay_out(tile *t, arena *a)
{
    const int32_t rows = t->shapes[0].rows, columns = t->shapes[0].columns;
    const size_t grid = (size_t)half(rows) * (size_t)half(columns), row = (size_t)half(columns);
    const int32_t widest = widest_state(t->model);
    const int32_t stride = xrc_network_stride(XRC_NEIGHBOURS + XRC_EXTRAS + widest);
    for (int32_t i = 0; i < 2; i++)
        t->values[i] = take(a, xrc_planes_values(rows, columns) * sizeof *t->values[i]);
    t->pixels = take(a, grid * (size_t)stride);
    t->state = take(a, grid * (size_t)xrc_network_stride(widest));
    t->parameters = take(a, grid * (size_t)(3 * t->model->components - 1) * sizeof *t->parameters);
    t->predictions = take(a, grid * sizeof *t->predictions);
    t->scales = take(a, grid);
    t->features = take(a, sizeof *t->features);
    t->errors = take(a, XRC_ERROR_ROWS * (row + 4) * sizeof *t->errors);
    t->adaptation = take(a, sizeof *t->adaptation);
    t->network_size = 0;
    for (int32_t set = 0; set < XRC_SETS; set++)
        for (int32_t phase = 0; phase < XRC_PHASES; phase++) {
            const size_t size = xrc_network_scratch(t->model->networks[set][phase], half(rows), half(columns));
            if (size > t->network_size)
                t->network_size = size;
        }
    t->network_scratch = take(a, t->network_size);
    const size_t pixels = (size_t)rows * (size_t)columns;
    t->starts = take(a, pixels * sizeof *t->starts);
    t->sizes = take(a, pixels * sizeof *t->sizes);
    t->coded = take(a, pixels * sizeof *t->coded);
    t->words_size = 4 * pixels + 8;
    t->words = take(a, t->words_size);
}

static int is_sound(const xrc_lattice_model *model, int32_t rows, int32_t columns)
{
    if (rows < 1 || columns < 1 || rows > XRC_MAX_TILE || columns > XRC_MAX_TILE)
        return 0;
    if (model->unit_shift < 0 || model->unit_shift > 16 || model->components < 1
        || model->components > XRC_COMPONENTS)
        return 0;
    for (int32_t set = 0; set < XRC_SETS; set++)
        if (model->channels[set] < 1 || model->channels[set] > XRC_MAX_CHANNELS)
            return 0;
    for (int32_t set = 0; set < XRC_SETS; set++)
        for (int32_t phase = 0; phase < XRC_PHASES; phase++) {
            const xrc_network *network = model->networks[set][phase];
            const int32_t before = phase || set == XRC_SETS - 1 ? set : set + 1;
            const int32_t inputs = xrc_phases[phase].count + XRC_EXTRAS + model->channels[before];
            if (xrc_network_channels(network) != inputs
                || !xrc_network_gives(network, model->state[set][phase], 0, model->channels[set])
                || !xrc_network_gives(network, model->parameters[set][phase], 1,
                                      3 * model->components - 1))
                return 0;
        }
    return 1;
}

size_t xrc_lattice_scratch(const xrc_lattice_model *model, int32_t rows, int32_t columns)
{
    if (!is_sound(model, rows, columns))
        return 0;
    tile t = {.model = model};
    t.count = shapes_of(rows, columns, t.shapes);
    arena counting = {NULL, 0};
    lay_out(&t, &counting);
    return t.network_size ? counting.used : 0;
}

/* ---- one direction: pixels to intervals, or words to pixels ---- */

typedef struct coder {
    int is_encoder;
    int32_t layer;
    /* encoder */
    size_t taken; /* pixels of the layer so far */
    size_t *sizes;
    uint8_t *out;
    /* decoder */
    const uint8_t *const *payloads;
    const size_t *payload_sizes;
    int is_open, mode;
    xrc_reader reader;
    size_t bit; /* plain: the next one */
    xrc_fault *fault;
} coder;

static int32_t bits_of(int32_t peak)
{
    int32_t bits = 0;
    while (peak >> bits)
        bits++;
    return bits;
}

static xrc_status open_layer(coder *c)
{
    const uint8_t *payload = c->payloads[c->layer];
    const size_t size = c->payload_sizes[c->layer];
    if (size == 0)
        return XRC_NO_PAYLOAD;
    c->is_open = 1;
    c->mode = payload[0];
    c->bit = 8;
    if (c->mode == PLAIN)
        return XRC_OK;
    return c->mode == CODED ? xrc_open_stream(&c->reader, payload + 1, size - 1) : XRC_MODE;
}

static xrc_status take_plain(coder *c, const xrc_lattice_setting *setting, int32_t *level)
{
    const int32_t bits = bits_of(setting->peak);
    if (c->bit + (size_t)bits > 8 * c->payload_sizes[c->layer])
        return XRC_ENDS_EARLY;
    int32_t value = 0;
    for (int32_t i = 0; i < bits; i++, c->bit++)
        value = value << 1 | ((c->payloads[c->layer][c->bit >> 3] >> (7 - (c->bit & 7))) & 1);
    *level = c->fault->level = value;
    c->fault->pixels++;
    return value > setting->peak ? XRC_PLAIN_LEVEL : XRC_OK;
}

/* Check that a layer used up its payload. */
static xrc_status end_decoded_layer(const coder *c)
{
    const size_t size = c->payload_sizes[c->layer];
    if (!c->is_open)
        return size ? XRC_NO_PIXELS : XRC_OK;
    if (c->mode == CODED)
        return xrc_is_spent(&c->reader) ? XRC_OK : XRC_STREAM_END;
    if ((c->bit + 7) / 8 != size)
        return XRC_PLAIN_SIZE;
    const int32_t rest = (int32_t)(8 * size - c->bit);
    return c->payloads[c->layer][size - 1] & ((1 << rest) - 1) ? XRC_PLAIN_BITS : XRC_OK;
}

static size_t write_plain(const tile *t, size_t count, uint8_t *out)
{
    const int32_t bits = bits_of(t->setting->peak);
    const size_t size = (count * (size_t)bits + 7) / 8;
    memset(out, 0, size);
    for (size_t i = 0, bit = 0; i < count; i++)
        for (int32_t b = bits - 1; b >= 0; b--, bit++)
            out[bit >> 3] |= (uint8_t)((t->coded[i] >> b & 1) << (7 - (bit & 7)));
    return size;
}

static void end_encoded_layer(const tile *t, coder *c)
{
    size_t size = 0;
    if (c->taken) {
        const size_t plain = (c->taken * (size_t)bits_of(t->setting->peak) + 7) / 8;
        size = xrc_write_stream(t->starts, t->sizes, c->taken, t->words, t->words_size);
        c->out[0] = size > plain ? PLAIN : CODED;
        if (size > plain)
            size = write_plain(t, c->taken, c->out + 1);
        else
            memcpy(c->out + 1, t->words + t->words_size - size, size);
        size++;
    }
    c->sizes[c->layer] = size;
    c->out += size;
    c->taken = 0;
}

static xrc_status begin_layer(const tile *t, coder *c, int32_t layer)
{
    if (c->layer >= 0) {
        if (c->is_encoder)
            end_encoded_layer(t, c);
        else {
            const xrc_status status = end_decoded_layer(c);
            if (status)
                return status;
        }
    }
    c->layer = layer;
    c->is_open = 0;
    if (layer < XRC_LAYERS)
        c->fault->layer = layer, c->fault->pixels = 0;
    return XRC_OK;
}

static void keep(const tile *t, coder *c, int32_t start, int32_t size, int32_t level)
{
    t->starts[c->taken] = (uint32_t)start;
    t->sizes[c->taken] = (uint32_t)size;
    t->coded[c->taken++] = (uint16_t)level;
}

/* The one pixel of the top level: uniform. */
static xrc_status code_top(const tile *t, coder *c, int32_t *level)
{
    const int32_t peak = t->setting->peak, whole = 1 << XRC_SLOT_BITS, each = whole / (peak + 1);
    if (c->is_encoder) {
        keep(t, c, *level * each, *level < peak ? each : whole - peak * each, *level);
        return XRC_OK;
    }
    const xrc_status status = open_layer(c);
    if (status)
        return status;
    if (c->mode == PLAIN)
        return take_plain(c, t->setting, level);
    const int32_t slot = (int32_t)(c->reader.state & (uint64_t)(whole - 1));
    *level = slot / each < peak ? slot / each : peak;
    return xrc_pop(&c->reader, *level * each, *level < peak ? each : whole - peak * each);
}

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

/* Code the pixels of a phase, row by row; `truth` and what is found are its sub-plane. */
static xrc_status code_phase(const tile *t, coder *c, const xrc_planes *planes, const xrc_phase *phase)
{
    const int32_t rows = xrc_extent(planes->rows, phase->row);
    const int32_t columns = xrc_extent(planes->columns, phase->column);
    const int32_t step = t->setting->step, peak = t->setting->peak;
    const xrc_coding coding = {step, peak, t->model->components, t->model->unit_shift};
    const ptrdiff_t parameter_count = 3 * coding.components - 1;
    int32_t *plane = planes->base[2 * phase->row + phase->column];
    int32_t *lines[XRC_ERROR_ROWS];
    if (!c->is_encoder && !c->is_open) {
        const xrc_status status = open_layer(c);
        if (status)
            return status;
    }
    for (int32_t i = 0; i < XRC_ERROR_ROWS; i++)
        lines[i] = t->errors + (ptrdiff_t)i * (columns + 4) + 2;
    xrc_begin_run(t->adaptation, t->errors, columns);
    for (int32_t i = 0; i < rows; i++) {
        int32_t *levels = plane + i * planes->pitch;
        const ptrdiff_t first = (ptrdiff_t)i * planes->grid_columns;
        for (int32_t j = 0; j < columns; j++) {
            if (!c->is_encoder && c->mode == PLAIN) {
                const xrc_status status = take_plain(c, t->setting, &levels[j]);
                if (status)
                    return status;
                continue;
            }
            const int32_t *const rows_here[XRC_ERROR_ROWS] = {lines[0] + j, lines[1] + j, lines[2] + j};
            const int32_t *parameters = t->parameters + parameter_count * (first + j);
            xrc_distribution found;
            xrc_interval interval;
            xrc_distribute(t->adaptation, rows_here, &coding, t->predictions[first + j],
                           t->scales[first + j], parameters, &found);
            int32_t bin;
            if (c->is_encoder) {
                const int32_t from = levels[j] - found.anchor + (step >> 1);
                const int32_t place = step == 1 ? from
                                      : from < 0 ? -((step - 1 - from) / step)
                                                 : from / step;
                bin = place - found.lowest;
                interval = xrc_interval_of(&found, step, bin);
            } else {
                const int32_t slot = (int32_t)(c->reader.state & ((1 << XRC_SLOT_BITS) - 1));
                bin = xrc_bin_of(&found, step, slot, &interval);
                if (interval.size < 1 << XRC_SLOT_BITS) {
                    const xrc_status status = xrc_pop(&c->reader, interval.start, interval.size);
                    if (status)
                        return status;
                }
            }
            const int32_t level = found.anchor + (found.lowest + bin) * step;
            levels[j] = level < 0 ? 0 : least(level, peak);
            if (c->is_encoder)
                keep(t, c, interval.start, interval.size, levels[j]);
            lines[2][j] = xrc_learn(t->adaptation, &found, &interval, levels[j]);
        }
        int32_t *oldest = lines[0];
        lines[0] = lines[1], lines[1] = lines[2], lines[2] = oldest;
        memset(lines[2] - 2, 0, (size_t)(columns + 4) * sizeof *oldest);
    }
    return XRC_OK;
}

/* ---- the walk ---- */

/* Put a level's sub-planes together: what the next one knows. */
static void join(const xrc_planes *from, int32_t *out, ptrdiff_t pitch)
{
    for (int32_t row = 0; row < from->rows; row++)
        for (int32_t column = 0; column < from->columns; column++)
            out[row * pitch + column] =
                from->base[2 * (row & 1) + (column & 1)][(row >> 1) * from->pitch + (column >> 1)];
}

/* Give every position of the finer grid the state of the one above it, after its features. */
static void enlarge_state(const xrc_planes *planes, int32_t above_columns, int32_t channels,
                          uint8_t *state)
{
    /* From the last position backwards: the coarse state is read before it is overwritten. */
    const size_t stride = (size_t)xrc_network_stride(channels);
    for (int32_t i = planes->grid_rows; i-- > 0;)
        for (int32_t j = planes->grid_columns; j-- > 0;)
            memmove(state + ((size_t)i * (size_t)planes->grid_columns + (size_t)j) * stride,
                    state + ((size_t)(i / 2) * (size_t)above_columns + (size_t)(j / 2)) * stride, stride);
}

static xrc_status code_level(tile *t, coder *c, int32_t level, const xrc_planes *planes, int32_t *before)
{
    const int32_t set = set_of(level);
    xrc_reflect(planes, 0);
    for (int32_t number = 0; number < XRC_PHASES; number++) {
        const xrc_phase *phase = &xrc_phases[number];
        if (!xrc_extent(planes->rows, phase->row) || !xrc_extent(planes->columns, phase->column)) {
            xrc_reflect(planes, 2 * phase->row + phase->column); /* read all the same */
            continue;
        }
        const int32_t described = phase->count + XRC_EXTRAS, channels = *before;
        const int32_t stride = xrc_network_stride(described + channels);
        const size_t state_stride = (size_t)xrc_network_stride(channels);
        for (int32_t i = 0; i < planes->grid_rows; i++) {
            const size_t first = (size_t)i * (size_t)planes->grid_columns;
            uint8_t *row = t->pixels + first * (size_t)stride;
            t->kernels->describe(planes, phase, i, t->setting->coefficients[set][number], t->setting->step,
                                 t->setting->peak, row, stride, t->predictions + first,
                                 t->scales + first, t->features);
            for (size_t j = 0; j < (size_t)planes->grid_columns; j++)
                memcpy(row + j * (size_t)stride + described, t->state + (first + j) * state_stride,
                       (size_t)channels);
        }
        const xrc_network *network = t->model->networks[set][number];
        void *outputs[XRC_MAX_OPERATORS] = {0};
        outputs[t->model->state[set][number]] = t->state;
        outputs[t->model->parameters[set][number]] = t->parameters;
        xrc_status status = xrc_network_run(network, planes->grid_rows, planes->grid_columns, t->pixels,
                                            outputs, t->network_scratch, t->network_size);
        if (status == XRC_OK)
            status = code_phase(t, c, planes, phase);
        if (status)
            return status;
        xrc_reflect(planes, 2 * phase->row + phase->column);
        *before = t->model->channels[set];
    }
    return XRC_OK;
}

static void split_truth(const tile *t, int32_t level, const uint16_t *truth, const xrc_planes *planes)
{
    const ptrdiff_t columns = t->shapes[0].columns;
    for (int32_t number = 0; number < XRC_PHASES; number++) {
        const xrc_phase *phase = &xrc_phases[number];
        int32_t *plane = planes->base[2 * phase->row + phase->column];
        for (int32_t i = 0; i < xrc_extent(planes->rows, phase->row); i++)
            for (int32_t j = 0; j < xrc_extent(planes->columns, phase->column); j++)
                plane[i * planes->pitch + j] =
                    truth[(((ptrdiff_t)(2 * i + phase->row) * columns) << level)
                          + ((ptrdiff_t)(2 * j + phase->column) << level)];
    }
}

/* A tile whose only level is 0: no layer holds anything. */
static xrc_status end_constant(const tile *t, coder *c, int32_t last, uint16_t *found)
{
    memset(found, 0, (size_t)t->shapes[last].rows * (size_t)t->shapes[last].columns * sizeof *found);
    for (int32_t layer = 1; layer <= XRC_LAYERS - last; layer++) {
        const xrc_status status = begin_layer(t, c, layer);
        if (status)
            return status;
    }
    return XRC_OK;
}

/* Code a tile down to level `last`; truth: its levels, of an encoder; found: (row, column). */
static xrc_status walk(tile *t, coder *c, int32_t last, const uint16_t *truth, uint16_t *found)
{
    xrc_status status = begin_layer(t, c, 0);
    int32_t top = truth ? truth[0] : 0, current = 0;
    if (t->setting->peak == 0)
        return end_constant(t, c, last, found);
    status = code_top(t, c, &top);
    if (status)
        return status;
    int32_t channels = t->model->channels[set_of(t->count - 1)];
    memset(t->state, 0, (size_t)xrc_network_stride(widest_state(t->model)));
    xrc_planes planes = xrc_planes_in(t->values[current], 1, 1);
    planes.base[0][0] = top;
    for (int32_t level = t->count - 2; level >= last; level--) {
        if (layer_of(level) != layer_of(level + 1)) {
            status = begin_layer(t, c, layer_of(level));
            if (status)
                return status;
        }
        const xrc_planes above = planes;
        current ^= 1;
        planes = xrc_planes_in(t->values[current], t->shapes[level].rows, t->shapes[level].columns);
        join(&above, planes.base[0], planes.pitch);
        if (planes.rows == 1 && planes.columns == 1)
            continue;
        if (truth)
            split_truth(t, level, truth, &planes);
        enlarge_state(&planes, above.grid_columns, channels, t->state);
        status = code_level(t, c, level, &planes, &channels);
        if (status)
            return status;
    }
    for (int32_t row = 0; row < planes.rows; row++)
        for (int32_t column = 0; column < planes.columns; column++)
            found[(ptrdiff_t)row * planes.columns + column] = (uint16_t)
                planes.base[2 * (row & 1) + (column & 1)][(row >> 1) * planes.pitch + (column >> 1)];
    return begin_layer(t, c, XRC_LAYERS); /* ends the last one */
}

static xrc_status open_tile(tile *t, const xrc_lattice_model *model, const xrc_lattice_setting *setting,
                            int32_t rows, int32_t columns, void *scratch, size_t size)
{
    const size_t needed = xrc_lattice_scratch(model, rows, columns);
    if (!needed || size < needed || (uintptr_t)scratch % ALIGNMENT)
        return XRC_ARGUMENT;
    if (setting->step < 1 || setting->step > 131071 || !(setting->step & 1) || setting->peak < 0
        || setting->peak > 65535)
        return XRC_ARGUMENT;
    *t = (tile){.model = model, .setting = setting, .kernels = xrc_kernels_here()};
    t->count = shapes_of(rows, columns, t->shapes);
    arena memory = {scratch, 0};
    lay_out(t, &memory);
    return XRC_OK;
}

size_t xrc_lattice_capacity(const xrc_lattice_setting *setting, int32_t rows, int32_t columns)
{
    const size_t pixels = (size_t)rows * (size_t)columns;
    return XRC_LAYERS * 2 + (pixels * (size_t)bits_of(setting->peak) + 7) / 8 + XRC_LAYERS;
}

xrc_status xrc_lattice_encode(const xrc_lattice_model *model, const xrc_lattice_setting *setting,
                              int32_t rows, int32_t columns, uint16_t *levels, uint8_t *payloads,
                              size_t sizes[XRC_LAYERS], void *scratch, size_t size)
{
    tile t;
    const xrc_status status = open_tile(&t, model, setting, rows, columns, scratch, size);
    if (status)
        return status;
    xrc_fault none;
    coder c = {.is_encoder = 1, .layer = -1, .sizes = sizes, .out = payloads, .fault = &none};
    return walk(&t, &c, 0, levels, levels);
}

xrc_status xrc_lattice_decode(const xrc_lattice_model *model, const xrc_lattice_setting *setting,
                              int32_t rows, int32_t columns, int32_t last,
                              const uint8_t *const payloads[XRC_LAYERS],
                              const size_t sizes[XRC_LAYERS], uint16_t *levels, xrc_fault *fault,
                              void *scratch, size_t size)
{
    tile t;
    const xrc_status status = open_tile(&t, model, setting, rows, columns, scratch, size);
    if (status)
        return status;
    if (last < 0 || last >= XRC_LAYERS)
        return XRC_ARGUMENT;
    coder c = {.layer = -1, .payloads = payloads, .payload_sizes = sizes, .fault = fault};
    return walk(&t, &c, last, NULL, levels);
}
