// Atomics and fences. One thread of the machine plays all of the GPU's, so plain operations are atomic; what matters is
// that others may come in before.
#pragma once

namespace emulator {
template <class T, class Change>
inline T atomically(const char* name, int line, T* address, Change change) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "atomics are of 4 or 8 bytes");
    let_others();
    atomic_access(address, sizeof(T), name, line);
    T old;
    memcpy(&old, address, sizeof(T));
    T changed = change(old);
    memcpy(address, &changed, sizeof(T));
    return old;
}
}  // namespace emulator

#define MUSE_ATOMIC(name, type, expression) \
    inline type name(type* address, type value, int line = __builtin_LINE()) { \
        return emulator::atomically(#name, line, address, [=](type old) -> type { return expression; }); \
    }
#define MUSE_INTEGER_ATOMICS(type) \
    MUSE_ATOMIC(atomicMax, type, old < value ? value : old) \
    MUSE_ATOMIC(atomicMin, type, value < old ? value : old) \
    MUSE_ATOMIC(atomicExch, type, (static_cast<void>(old), value)) \
    inline type atomicCAS(type* address, type expected, type value, int line = __builtin_LINE()) { \
        return emulator::atomically("atomicCAS", line, address, \
                                    [=](type old) { return old == expected ? value : old; }); \
    }
#define MUSE_BIT_ATOMICS(type) \
    MUSE_ATOMIC(atomicAnd, type, old & value) \
    MUSE_ATOMIC(atomicOr, type, old | value) \
    MUSE_ATOMIC(atomicXor, type, old ^ value)

MUSE_ATOMIC(atomicAdd, int, static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(value)))
MUSE_ATOMIC(atomicAdd, unsigned, old + value)
MUSE_ATOMIC(atomicAdd, unsigned long long, old + value)
MUSE_ATOMIC(atomicAdd, float, old + value)
MUSE_ATOMIC(atomicSub, int, static_cast<int>(static_cast<unsigned>(old) - static_cast<unsigned>(value)))
MUSE_ATOMIC(atomicSub, unsigned, old - value)
MUSE_INTEGER_ATOMICS(int)
MUSE_INTEGER_ATOMICS(unsigned)
MUSE_INTEGER_ATOMICS(unsigned long long)
MUSE_ATOMIC(atomicMax, long long, old < value ? value : old)
MUSE_ATOMIC(atomicMin, long long, value < old ? value : old)
MUSE_BIT_ATOMICS(int)
MUSE_BIT_ATOMICS(unsigned)
MUSE_BIT_ATOMICS(unsigned long long)

inline void __threadfence() { emulator::let_others(); }
inline void __threadfence_block() { emulator::let_others(); }
