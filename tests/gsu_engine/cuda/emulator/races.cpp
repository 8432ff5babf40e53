// Checks of every access, for units that are compiled with -fsanitize=thread: g++ calls the functions below, which are
// ours here and not those of its library. Two threads of a block that use the same byte of shared memory, one of them
// writing, must be kept apart by __syncthreads or, within a warp, by __syncwarp: votes and shuffles order no memory.
#include <algorithm>

#include "state.hpp"

extern "C" unsigned char __ehdr_start[];
extern "C" unsigned char _end[];
extern "C" unsigned char __start_muse_shared[];
extern "C" unsigned char __stop_muse_shared[];

namespace emulator {

constexpr unsigned MANY = ~0u;
static bool checked = false;

static bool in(const unsigned char* address, size_t bytes, const unsigned char* begin, size_t size) {
    return address >= begin && address + bytes <= begin + size;
}

// Whether what `record` tells of came before all that this thread does now.
static bool ordered(const Record& record, const Block& block, const Warp& warp, unsigned lane) {
    if (record.epoch != block.epoch) return true;
    if (record.warp != warp.first_thread / LANES) return false;
    for (unsigned others = record.lanes & ~(1u << lane); others; others &= others - 1)
        if (warp.fibers[lane].seen[__builtin_ctz(others)] <= record.stamp) return false;
    return true;
}

static void add(Record& record, const Block& block, const Fiber& fiber, uint64_t place) {
    const unsigned warp = fiber.thread / LANES;
    if (record.epoch != block.epoch) record = {block.epoch, 0, 0, warp, fiber.thread, fiber.thread, 0};
    if (record.warp != warp) record.warp = MANY;
    record.lanes |= 1u << fiber.thread % LANES;
    record.stamp = std::max(record.stamp, fiber.stamp);
    if (record.thread != fiber.thread) record.thread_before = record.thread;
    record.thread = fiber.thread;
    record.place = place;
}

static const char* word_of(Access access) {
    return access == Access::read ? "reads" : access == Access::write ? "writes" : "changes atomically";
}

static void check_race(Cell& cell, size_t at, Access access, uint64_t place) {
    const Fiber& fiber = *grid.running;
    const Warp& warp = *fiber.warp;
    const Block& block = *warp.block;
    constexpr Access ALL[] = {Access::read, Access::write, Access::atomic};
    for (const Access other : ALL) {
        const Record& record = cell.records[static_cast<int>(other)];
        const bool conflict = access == other ? access == Access::write : true;
        if (!conflict || record.lanes == 0 || ordered(record, block, warp, fiber.thread % LANES)) continue;
        const unsigned thread = record.thread == fiber.thread ? record.thread_before : record.thread;
        char here[512], there[512];
        describe_place(here, sizeof(here), place);
        describe_place(there, sizeof(there), record.place);
        fail("a race at byte %zu of shared memory: it %s%s what thread %u %s%s, and no barrier lies between", at,
             word_of(access), here, thread, word_of(other), there);
    }
    if (access == Access::write) cell = {};  // whatever comes after this came after those too
    add(cell.records[static_cast<int>(access)], block, fiber, place);
}

static void check_races(std::vector<Cell>& cells, size_t at, size_t bytes, Access access, uint64_t place) {
    if (cells.size() < at + bytes) cells.resize(at + bytes);
    for (size_t i = 0; i < bytes; ++i) check_race(cells[at + i], at + i, access, place);
}

[[noreturn]] static void fail_outside(const unsigned char* address, size_t bytes, Access access, uint64_t place) {
    char text[512];
    describe_place(text, sizeof(text), place);
    const auto first = reinterpret_cast<uint64_t>(address);
    const Range* before = nullptr;
    for (const Range& buffer : grid.buffers)
        if (buffer.begin <= first) before = &buffer;
    if (before)
        fail("it %s%s %zu bytes at %p, in no memory of its own: byte %lu of a buffer of %lu bytes", word_of(access),
             text, bytes, static_cast<const void*>(address), first - before->begin, before->end - before->begin);
    fail("it %s%s %zu bytes at %p, in no memory of its own", word_of(access), text, bytes,
         static_cast<const void*>(address));
}

void note(const void* memory, size_t bytes, Access access, uint64_t place) {
    if (!checked || !grid.running) return;
    const auto* address = static_cast<const unsigned char*>(memory);
    const Fiber& fiber = *grid.running;
    Block& block = *fiber.warp->block;
    if (in(address, bytes, fiber.stack, Stacks::BYTES)) return;
    if (in(address, bytes, block.shared, grid.shared_bytes))
        return check_races(block.cells, static_cast<size_t>(address - block.shared), bytes, access, place);
    const unsigned char* statics = __start_muse_shared;
    if (in(address, bytes, statics, static_cast<size_t>(__stop_muse_shared - statics)))
        return check_races(block.static_cells, static_cast<size_t>(address - statics), bytes, access, place);
    if (in(address, bytes, __ehdr_start, static_cast<size_t>(_end - __ehdr_start)) && access == Access::read) return;
    if (!in_buffers(address, bytes)) fail_outside(address, bytes, access, place);
}

// ---- who has seen whose work, within a warp

void forget_order(Warp& warp) {
    warp.tick = 1;
    for (unsigned lane = 0; lane < LANES; ++lane) {
        warp.fibers[lane].stamp = 1;
        std::fill_n(warp.fibers[lane].seen, LANES, 0u);
    }
}

void order_lanes(Warp& warp, unsigned here) {
    if (!checked) return;
    unsigned joined[LANES] = {};
    ++warp.tick;
    for (unsigned lane = 0; lane < LANES; ++lane) {
        if (!(here >> lane & 1)) continue;
        for (unsigned other = 0; other < LANES; ++other)
            joined[other] = std::max(joined[other], warp.fibers[lane].seen[other]);
    }
    for (unsigned lane = 0; lane < LANES; ++lane)
        if (here >> lane & 1) joined[lane] = warp.tick;
    for (unsigned lane = 0; lane < LANES; ++lane) {
        if (!(here >> lane & 1)) continue;
        std::copy_n(joined, LANES, warp.fibers[lane].seen);
        warp.fibers[lane].stamp = warp.tick;
    }
}

}  // namespace emulator

#define MUSE_PLACE (reinterpret_cast<uint64_t>(__builtin_return_address(0)) - 1)
#define MUSE_CHECK(name, bytes, access) \
    extern "C" void name(const void* address) { emulator::note(address, bytes, emulator::Access::access, MUSE_PLACE); }
#define MUSE_CHECKS(bytes) \
    MUSE_CHECK(__tsan_read##bytes, bytes, read) \
    MUSE_CHECK(__tsan_write##bytes, bytes, write) \
    MUSE_CHECK(__tsan_unaligned_read##bytes, bytes, read) \
    MUSE_CHECK(__tsan_unaligned_write##bytes, bytes, write) \
    MUSE_CHECK(__tsan_volatile_read##bytes, bytes, atomic) \
    MUSE_CHECK(__tsan_volatile_write##bytes, bytes, atomic) \
    MUSE_CHECK(__tsan_unaligned_volatile_read##bytes, bytes, atomic) \
    MUSE_CHECK(__tsan_unaligned_volatile_write##bytes, bytes, atomic)
MUSE_CHECKS(1)
MUSE_CHECKS(2)
MUSE_CHECKS(4)
MUSE_CHECKS(8)
MUSE_CHECKS(16)

extern "C" void __tsan_read_range(const void* address, size_t bytes) {
    emulator::note(address, bytes, emulator::Access::read, MUSE_PLACE);
}
extern "C" void __tsan_write_range(const void* address, size_t bytes) {
    emulator::note(address, bytes, emulator::Access::write, MUSE_PLACE);
}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_init() { emulator::checked = true; }
