// What host and kernels share; `layout.py` says the same in NumPy, and a test compares them.
#pragma once
#include "primitives.cuh"

// Copy slots[from : from + count] to pages[to :]; `to` counts slots from the first page, and no run crosses a page.
struct Run {
    uint64 to;
    uint32 from;
    uint32 count;
};

// page_table[at] = page
struct Link {
    uint32 at;
    uint32 page;
};

// Behaviours that came: no two runs of one Append touch the same page for different users.
struct Append {
    uint32* pages;       // [pages, 512] slots
    uint32* page_table;  // [records, ring] pages
    const Run* runs;
    const uint32* slots;
    const Link* links;
    int run_count;
    int link_count;
};

// Vectors that came, changed or went (inverse norm 0).
struct Fill {
    int8* vectors;  // [slots, width]
    float* inv_norms;
    const uint32* slots;  // [count], each once
    const int8* rows;     // [count, width]
    const float* norms;
    int count;
    int width;
};
