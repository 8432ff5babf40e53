// The scheduler: blocks, warps, lanes, and who waits for whom. Everything is decided by the seed.
#include <cstdio>
#include <cstring>
#include <new>

#include "state.hpp"

extern "C" unsigned char __start_muse_shared[] __attribute__((visibility("hidden")));
extern "C" unsigned char __stop_muse_shared[] __attribute__((visibility("hidden")));

namespace emulator {

// So that the section is there where no kernel has static shared memory.
__attribute__((section("muse_shared"), used)) static unsigned char one_byte = 0;

Grid grid;
static Stacks stacks;

static size_t statics_bytes() { return static_cast<size_t>(__stop_muse_shared - __start_muse_shared); }

Dim thread_index() { return {grid.running->thread, 0, 0}; }
Dim block_index() { return {grid.running->warp->block->index, 0, 0}; }
Dim block_size() { return grid.block_size; }
Dim grid_size() { return grid.size; }
unsigned char* dynamic_shared() { return grid.running->warp->block->shared; }

bool in_own_shared(const void* address, size_t bytes) {
    const auto* first = static_cast<const unsigned char*>(address);
    const unsigned char* shared = grid.running->warp->block->shared;
    return (first >= shared && first + bytes <= shared + grid.shared_bytes) ||
           (first >= __start_muse_shared && first + bytes <= __stop_muse_shared);
}

void fill_with_garbage(unsigned char* memory, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 8) {
        const uint64_t garbage = random_bits();
        memcpy(memory + at, &garbage, bytes - at < 8 ? bytes - at : 8);
    }
}

// ---- threads take turns

static void suspend() { Context::turn(grid.running->context, grid.scheduler); }

static void wake(Warp& warp, unsigned lanes) {
    warp.ready |= lanes;
    if (!warp.listed && lanes) {
        warp.listed = true;
        grid.ready.push_back(&warp);
    }
}

void let_others() {
    if (random_bits() >> 62 == 0) suspend();  // it stays ready
}

// All ready lanes of a warp, in an order of the moment.
static void burst(Warp& warp) {
    const auto bits = static_cast<unsigned>(random_bits() >> 40);
    const unsigned step = bits | 1, first = bits >> 5;
    for (unsigned i = 0; i < LANES; ++i) {
        const unsigned lane = (first + i * step) % LANES;
        if (!(warp.ready >> lane & 1)) continue;
        grid.running = &warp.fibers[lane];
        Context::turn(grid.scheduler, grid.running->context);
    }
    grid.running = nullptr;
}

// ---- warps

static void finish(Warp& warp, Meeting& open, unsigned running) {
    const Meeting meeting = open;
    open = warp.meetings[--warp.meeting_count];
    if (meeting.what->whole_warp && meeting.arrived != ~0u)
        fail("%s (line %d) needs all 32 lanes of warp %u, lanes %08x are here", meeting.what->name, meeting.line,
             warp.first_thread / LANES, meeting.arrived);
    meeting.what->complete(warp.operands, meeting.arrived);
    wake(warp, meeting.arrived & ~running);
}

static Meeting& meeting_of(Warp& warp, const Collective& what, unsigned mask, int line, unsigned own) {
    for (unsigned i = 0; i < warp.meeting_count; ++i) {
        Meeting& open = warp.meetings[i];
        if (open.what == &what && open.mask == mask && open.line == line) return open;
        if (open.mask & own && open.arrived & mask)
            fail("lanes of one warp meet at different places: this lane at %s mask %08x (line %d), lanes %08x at %s mask "
                 "%08x (line %d)",
                 what.name, mask, line, open.arrived, open.what->name, open.mask, open.line);
    }
    Meeting& fresh = warp.meetings[warp.meeting_count++];
    fresh = {&what, mask, line, 0};
    return fresh;
}

void meet(const Collective& what, unsigned mask, int line, void* operands) {
    Warp& warp = *grid.running->warp;
    const unsigned lane = grid.running->thread % LANES, own = 1u << lane;
    if (!(mask & own)) fail("%s (line %d): mask %08x lacks the lane that calls", what.name, line, mask);
    Meeting& meeting = meeting_of(warp, what, mask, line, own);
    warp.operands[lane] = operands;
    meeting.arrived |= own;
    if (meeting.arrived == (mask & warp.alive)) {
        finish(warp, meeting, own);
    } else {
        warp.ready &= ~own;
        suspend();
    }
}

// ---- blocks

static void release(Block& block) {
    block.result = block.yes;
    block.arrived = 0;
    for (Warp& warp : block.warps) {
        wake(warp, warp.at_barrier);
        warp.at_barrier = 0;
    }
}

int meet_block(const char* name, int line, bool yes) {
    Warp& warp = *grid.running->warp;
    Block& block = *warp.block;
    if (block.arrived == 0) {
        block.barrier = name;
        block.barrier_line = line;
        block.yes = 0;
    } else if (block.barrier != name || block.barrier_line != line) {
        fail("threads of one block meet at different places: this one at %s (line %d), %u others at %s (line %d)", name,
             line, block.arrived, block.barrier, block.barrier_line);
    }
    block.yes += yes;
    if (++block.arrived == block.alive) {
        release(block);
    } else {
        const unsigned own = 1u << grid.running->thread % LANES;
        warp.ready &= ~own;
        warp.at_barrier |= own;
        suspend();
    }
    return static_cast<int>(block.result);
}

// Whoever has ended is no longer waited for.
static void leave() {
    Warp& warp = *grid.running->warp;
    Block& block = *warp.block;
    warp.alive &= ~(1u << grid.running->thread % LANES);
    warp.ready &= warp.alive;
    --block.alive;
    for (unsigned i = warp.meeting_count; i-- > 0;)
        if (warp.meetings[i].arrived == (warp.meetings[i].mask & warp.alive)) finish(warp, warp.meetings[i], 0);
    if (block.arrived && block.arrived == block.alive) release(block);
}

static void thread_main() {
    grid.kernel->run(grid.argument);
    leave();
    suspend();
    __builtin_unreachable();
}

static void start_warp(Block& block, unsigned index, size_t slot) {
    Warp& warp = block.warps[index];
    const unsigned threads = grid.block_size.x;
    warp.block = &block;
    warp.first_thread = index * LANES;
    warp.fibers = &block.fibers[warp.first_thread];
    const unsigned lanes = threads - warp.first_thread < LANES ? threads - warp.first_thread : LANES;
    warp.alive = lanes == LANES ? ~0u : (1u << lanes) - 1;
    warp.ready = warp.at_barrier = warp.meeting_count = 0;
    for (unsigned lane = 0; lane < lanes; ++lane) {
        Fiber& fiber = warp.fibers[lane];
        const size_t stack = slot * threads + warp.first_thread + lane;
        fiber.warp = &warp;
        fiber.thread = warp.first_thread + lane;
        fiber.copies.clear();
        fiber.closed.clear();
        fiber.context.begin(stacks.at(stack), Stacks::usable_bytes(stack), thread_main);
    }
    wake(warp, warp.alive);
}

static void start(Block& block) {
    block.index = grid.order[grid.started++];
    block.alive = grid.block_size.x;
    block.arrived = 0;
    const size_t room = (grid.shared_bytes + SHARED_ALIGNED_BYTES - 1) / SHARED_ALIGNED_BYTES * SHARED_ALIGNED_BYTES;
    block.memory.resize(room + SHARED_ZONE_BYTES + SHARED_ALIGNED_BYTES);
    const auto begin = reinterpret_cast<uintptr_t>(block.memory.data());
    block.shared = block.memory.data() + (SHARED_ALIGNED_BYTES - begin % SHARED_ALIGNED_BYTES) % SHARED_ALIGNED_BYTES;
    fill_with_garbage(block.shared, grid.shared_bytes);
    memset(block.shared + grid.shared_bytes, 0xa5, SHARED_ZONE_BYTES);
    block.statics.resize(statics_bytes());
    fill_with_garbage(block.statics.data(), block.statics.size());
    const auto slot = static_cast<size_t>(&block - grid.blocks.data());
    for (unsigned warp = 0; warp < block.warps.size(); ++warp) start_warp(block, warp, slot);
}

static void end(Block& block) {
    for (size_t at = 0; at < SHARED_ZONE_BYTES; ++at)
        if (block.shared[grid.shared_bytes + at] != 0xa5)
            fail("block %u wrote beyond its dynamic shared memory, at byte %zu of %zu", block.index,
                 grid.shared_bytes + at, grid.shared_bytes);
    if (grid.resident == &block) grid.resident = nullptr;
    if (grid.started < grid.order.size()) start(block);
}

static void bring(Block& block) {
    if (grid.resident == &block) return;
    if (grid.resident) memcpy(grid.resident->statics.data(), __start_muse_shared, statics_bytes());
    memcpy(__start_muse_shared, block.statics.data(), statics_bytes());
    grid.resident = &block;
}

// ---- a launch

static void run_all() {
    for (Block& block : grid.blocks) start(block);
    while (!grid.ready.empty()) {
        const unsigned chosen = random_below(static_cast<unsigned>(grid.ready.size()));
        Warp& warp = *grid.ready[chosen];
        bring(*warp.block);
        burst(warp);
        if (warp.ready == 0) {
            warp.listed = false;
            grid.ready[chosen] = grid.ready.back();
            grid.ready.pop_back();
        }
        if (warp.block->alive == 0) end(*warp.block);
    }
    for (const Block& block : grid.blocks)
        if (block.alive) describe_deadlock();
}

static void prepare(const Kernel& kernel, unsigned blocks, unsigned threads, size_t shared_bytes, const void* argument,
                    uint64_t seed, unsigned together) {
    grid.kernel = &kernel;
    grid.argument = argument;
    grid.size = {blocks, 1, 1};
    grid.block_size = {threads, 1, 1};
    grid.shared_bytes = shared_bytes;
    grid.random = seed * 0x9e3779b97f4a7c15u ^ 0xd1b54a32d192ed03u;
    if (grid.random == 0) grid.random = 1;
    grid.order.resize(blocks);
    for (unsigned i = 0; i < blocks; ++i) {
        const unsigned other = random_below(i + 1);
        grid.order[i] = grid.order[other];
        grid.order[other] = i;
    }
    grid.started = 0;
    grid.ready.clear();
    grid.resident = nullptr;
    grid.running = nullptr;
    grid.blocks.resize(blocks < together ? blocks : together);
    for (Block& block : grid.blocks) {
        block.warps.assign((threads + LANES - 1) / LANES, Warp{});
        block.fibers.resize(block.warps.size() * LANES);
    }
}

static const Kernel* kernel_named(const char* name) {
    for (unsigned i = 0; i < KERNEL_COUNT; ++i)
        if (strcmp(KERNELS[i].name, name) == 0) return &KERNELS[i];
    return nullptr;
}

}  // namespace emulator

// Device memory from now on: `ranges` is [count, 2], sorted, first byte and end of each.
extern "C" void set_buffers(const uint64_t* ranges, size_t count) {
    auto& buffers = emulator::grid.buffers;
    buffers.resize(count);
    for (size_t i = 0; i < count; ++i) buffers[i] = {ranges[2 * i], ranges[2 * i + 1]};
}

// Run a kernel to its end. Returns 0, or 1 with the reason in `error`.
extern "C" int launch(const char* name, unsigned blocks, unsigned threads, size_t shared_bytes, const void* argument,
                      uint64_t seed, unsigned together, double seconds, char* error, size_t error_bytes) {
    using namespace emulator;
    grid.error[0] = 0;
    const Kernel* kernel = kernel_named(name);
    if (!kernel)
        snprintf(grid.error, sizeof(grid.error), "no kernel %s", name);
    else if (threads == 0 || threads > kernel->threads_max || blocks == 0)
        snprintf(grid.error, sizeof(grid.error), "kernel %s: %u blocks of %u threads, of at most %u", name, blocks,
                 threads, kernel->threads_max);
    else {
        prepare(*kernel, blocks, threads, shared_bytes, argument, seed, together);
        run_guarded(run_all, seconds);
    }
    snprintf(error, error_bytes, "%s", grid.error);
    return grid.error[0] != 0;
}
