// What lanes of a warp, or threads of a block, do together. A line number tells one use from another: lanes that meet at
// different ones are an error, as CUDA says, even where a given GPU would let it pass.
#pragma once

namespace emulator {

template <class Do>
inline void each(unsigned lanes, Do&& work) {
    for (; lanes; lanes &= lanes - 1) work(static_cast<unsigned>(__builtin_ctz(lanes)));
}

// Every lane brings a value; `Rule::of` makes one result of those that are here.
template <class Rule, class T>
struct Together {
    T value;

    static void complete(void** operands, unsigned here) {
        T result = static_cast<Together*>(operands[__builtin_ctz(here)])->value;
        each(here & (here - 1), [&](unsigned lane) {
            result = Rule::of(result, static_cast<Together*>(operands[lane])->value);
        });
        each(here, [&](unsigned lane) { static_cast<Together*>(operands[lane])->value = result; });
    }

    static T of(unsigned mask, T value, int line) {
        static constexpr Collective what{Rule::name, complete, false};
        Together operands{value};
        meet(what, mask, line, &operands);
        return operands.value;
    }
};

#define MUSE_RULE(Name, word, expression) \
    struct Name { \
        static constexpr const char* name = word; \
        template <class T> \
        static T of(T a, T b) { \
            return expression; \
        } \
    };
MUSE_RULE(All, "__all_sync", a& b)
MUSE_RULE(Any, "__any_sync", a | b)
MUSE_RULE(Ballot, "__ballot_sync", a | b)
MUSE_RULE(Sum, "__reduce_add_sync", static_cast<T>(static_cast<unsigned>(a) + static_cast<unsigned>(b)))
MUSE_RULE(Largest, "__reduce_max_sync", a < b ? b : a)
MUSE_RULE(Smallest, "__reduce_min_sync", b < a ? b : a)
MUSE_RULE(And, "__reduce_and_sync", a& b)
MUSE_RULE(Or, "__reduce_or_sync", a | b)
MUSE_RULE(Xor, "__reduce_xor_sync", a ^ b)
MUSE_RULE(Nothing, "__syncwarp", a)

// Every lane brings a value and the lane whose value it wants.
template <class T>
struct Shuffle {
    T value;
    unsigned source;
    T result;

    static void complete(void** operands, unsigned here) {
        each(here, [&](unsigned lane) {
            auto* mine = static_cast<Shuffle*>(operands[lane]);
            if (!(here >> mine->source & 1))
                fail("a shuffle: lane %u reads lane %u, which takes no part", lane, mine->source);
            mine->result = static_cast<Shuffle*>(operands[mine->source])->value;
        });
    }

    static T of(const Collective& what, unsigned mask, T value, unsigned source, int line) {
        static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles are of 4 or 8 bytes");
        Shuffle operands{value, source, value};
        meet(what, mask, line, &operands);
        return operands.result;
    }
};

inline unsigned own_lane() { return thread_index().x % LANES; }

inline unsigned section_of(unsigned lane, int width) { return lane & ~static_cast<unsigned>(width - 1); }

}  // namespace emulator

inline unsigned __ballot_sync(unsigned mask, int yes, int line = __builtin_LINE()) {
    return emulator::Together<emulator::Ballot, unsigned>::of(mask, yes ? 1u << emulator::own_lane() : 0u, line);
}
inline int __any_sync(unsigned mask, int yes, int line = __builtin_LINE()) {
    return emulator::Together<emulator::Any, int>::of(mask, yes != 0, line);
}
inline int __all_sync(unsigned mask, int yes, int line = __builtin_LINE()) {
    return emulator::Together<emulator::All, int>::of(mask, yes != 0, line);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, int line = __builtin_LINE()) {
    emulator::Together<emulator::Nothing, int>::of(mask, 0, line);
}

#define MUSE_REDUCE(word, Rule, type) \
    inline type word(unsigned mask, type value, int line = __builtin_LINE()) { \
        return emulator::Together<emulator::Rule, type>::of(mask, value, line); \
    }
MUSE_REDUCE(__reduce_add_sync, Sum, int)
MUSE_REDUCE(__reduce_add_sync, Sum, unsigned)
MUSE_REDUCE(__reduce_max_sync, Largest, int)
MUSE_REDUCE(__reduce_max_sync, Largest, unsigned)
MUSE_REDUCE(__reduce_min_sync, Smallest, int)
MUSE_REDUCE(__reduce_min_sync, Smallest, unsigned)
MUSE_REDUCE(__reduce_and_sync, And, unsigned)
MUSE_REDUCE(__reduce_or_sync, Or, unsigned)
MUSE_REDUCE(__reduce_xor_sync, Xor, unsigned)

// As the CUDA guide says: `width` cuts the warp into sections, and a lane that would read beyond its own keeps its value.
#define MUSE_SHUFFLE(word, argument, source_expression) \
    template <class T> \
    inline T word(unsigned mask, T value, argument, int width = 32, int line = __builtin_LINE()) { \
        static constexpr emulator::Collective what{#word, emulator::Shuffle<T>::complete, false}; \
        const unsigned lane = emulator::own_lane(), first = emulator::section_of(lane, width); \
        const unsigned end = first + static_cast<unsigned>(width); \
        const unsigned source = source_expression; \
        return emulator::Shuffle<T>::of(what, mask, value, source, line); \
    }
MUSE_SHUFFLE(__shfl_sync, int from, (static_cast<void>(end), first + (static_cast<unsigned>(from) & (width - 1))))
MUSE_SHUFFLE(__shfl_xor_sync, int bits, (static_cast<void>(first), (lane ^ bits) < end ? lane ^ bits : lane))
MUSE_SHUFFLE(__shfl_down_sync, unsigned by, (static_cast<void>(first), lane + by < end ? lane + by : lane))
MUSE_SHUFFLE(__shfl_up_sync, unsigned by, (static_cast<void>(end), lane >= first + by ? lane - by : lane))

inline void __syncthreads(int line = __builtin_LINE()) { emulator::meet_block("__syncthreads", line, false); }
inline int __syncthreads_count(int yes, int line = __builtin_LINE()) {
    return emulator::meet_block("__syncthreads_count", line, yes != 0);
}
inline int __syncthreads_or(int yes, int line = __builtin_LINE()) {
    return emulator::meet_block("__syncthreads_or", line, yes != 0) > 0;
}
inline int __syncthreads_and(int yes, int line = __builtin_LINE()) {
    return emulator::meet_block("__syncthreads_and", line, yes == 0) == 0;
}
