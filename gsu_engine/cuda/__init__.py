"""The engine on an NVIDIA GPU: histories and vectors live on the device, and a ragged batch is searched there at once.

| module | what |
|---|---|
| `device` | what the rest asks of a GPU: memory, copies, launches, in one order |
| `cupy_device` | that, through CuPy |
| `layout` | structs that host and kernels share |
| `parcel` | many small arrays in one upload |
| `sources` | the kernels' text |
| `histories` | who is resident, in which pages |
| `vectors` | the vector table, mirrored |
| `plan` | how a batch becomes work for the device |
| `search` | a search: one upload, three launches, one download |
| `residence` | all of it behind one lock, as the engine uses it |
"""
