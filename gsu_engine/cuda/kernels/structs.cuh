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

// One user with candidates of its own. `plan.py` says how the numbers are chosen.
struct Pair {
    int64 allowed_at;      // byte of `allowed` where the pair's bits begin; -1: all rows are allowed
    uint32 table_at;       // of the user's first entry in the page table
    uint32 first_page;     // entry of the ring that holds the page of the window's first row
    int head;              // index of the window's first row in that page
    int length;            // rows of the window
    int first_candidate;   // number of the pair's first candidate
    int candidates;        // how many it has
    int groups;            // groups of 64 candidates that a block multiplies at once: 1, 2, 4 or 8
    int candidate_tiles;   // ceil(candidates / (64 * groups))
    int tiles;             // ceil(length / 128)
    int tiles_per_item;    // of a filter's item
    int first_item;        // filter items of the pairs before this one
    int sampled;           // rows in the sample; 0: no sample, every row is a hit
    int sample_step;       // row j of the sample is at place j * sample_step / 65536
    int sample_parts;      // items that the sample is cut into, per candidate tile
    int first_sample_item; // threshold items of the pairs before this one
    int spans;             // maxima that a lane writes per item and candidate
    int span;              // multiplications of 8 rows that one maximum is taken over
    int rank;              // which of the maxima, from the largest, is the threshold
    int first_done;        // candidate tiles of the pairs before this one
};

// A search: all that its three kernels read and write.
struct Search {
    const uint32* pages;       // [pages, 512] slots
    const uint32* page_table;  // [records, ring] pages
    const int8* vectors;       // [slots, width]
    const float* inv_norms;    // [slots], 0 = no vector
    const Pair* pairs;
    const int8* candidates;         // [candidate_count, width]
    const float* candidate_norms;   // [candidate_count] inverse norms, 0 = no vector
    const uint32* excluded;         // [candidate_count] slot that is not retrieved, 0 = none; null = none for all
    const uint8* allowed;           // bits, first row lowest
    uint32* done;                   // [candidate tiles] parts of the sample that have ended; zero at first
    uint32* tickets;                // [2] items taken by the blocks of the first two kernels; zero at first
    float* maxima;                  // [candidate_count, MAXIMA]
    float* thresholds;              // [candidate_count] smallest product of dot and inverse norm that is a hit
    uint32* counts;                 // [candidate_count] hits, also those that found no room
    uint64* hits;                   // [candidate_count, room] keys
    float* scores;                  // [candidate_count, k]
    int* places;                    // [candidate_count, k]; -1 beyond `found`
    int* found;                     // [candidate_count]
    float* recent_scores;           // [candidate_count, recent], newest first
    uint8* recent_present;          // likewise
    int ring;
    int pair_count;
    int candidate_count;
    int sample_items;
    int filter_items;
    int room;
    int k;
    int recent;
    int most_kept;  // power of two that is at least 5/4 of k: see finish.cuh
};
