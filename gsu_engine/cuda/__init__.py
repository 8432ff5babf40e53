"""The engine on an NVIDIA GPU: histories and vectors live on the device, and a ragged batch is searched there at once.

| module | what |
|---|---|
| `device` | what the rest asks of a GPU: memory, copies, launches, captures, in one order |
| `cupy_device`, `cupy_views`, `cupy_errors` | that, through CuPy |
| `graph` | a captured sequence with its page-locked memory |
| `layout` | structs that host and kernels share |
| `parcel` | many small arrays in one upload |
| `sources` | the kernels' text |
| `histories` | who is resident, in which pages |
| `vectors` | the vector table, mirrored |
| `plan`, `grid` | how a batch becomes work for the device, and how many blocks do it |
| `search`, `results` | a search: one upload, three launches, one download; what it leaves on the device |
| `graphs` | searches that were captured once, to be replayed |
| `ways`, `measure` | which way a small search takes, and how that is found out |
| `residence` | all of it behind one lock, as the engine uses it |
"""
