"""Export: impressions in, samples with everything as it was at that moment out.

**As it was.** An impression (user, item, time, label) has a *moment*: a prefix of each of three logs. What the sample
says is what the serving code gives when its stores hold exactly these prefixes:

    behaviours   of the user's partition: history, windows, retrieval
    users        of the same partition: the profile
    items        category, features and vectors of the candidate and of every item in the history

* An impression that carries the positions of the answer that was served (`behaviours_position`, `users_position`,
  `items_position`, each the next offset) has these prefixes, and nothing else is looked at.
* Any other one has, of each log, the records before the first one whose broker time is at or after the impression's
  time. So every record that counts is strictly earlier, a record of the same millisecond does not count, and a history
  keeps the log's order. A *late* event (its own time long before its record's) counts from its record on, as it did for
  serving; its event time is data. A worker that lagged behind the brokers showed less than that: only positions say.

Every rule of a store holds at the moment: the newest `state.cap` behaviours, the time to live by the broker times of
the prefix, the duplicate window, erasures. The rules are those of the settings; of stores, their own.

**Stores instead of the log** (`stored.py`). A stored behaviour says when it arrived: the largest broker time until
then, in whole seconds. That is the same prefix, unless a behaviour of the user arrived in the impression's own second.

**What cannot be known is left out**, counted by reason and listed, never exported as if it were right (`reasons.py`).

Invariant: a sample follows from its moment's prefixes, the rules and the model's shape (features, K, R, space). Which
other samples were asked for, and in which order, changes no bit of it.

    impressions.py   the file of impressions, checked
    moments.py       moments, and an order in which one replay meets them all
    tape.py          one log partition, read once, up to one moment after the other
    past.py          a partition's store at a moment, by replay;  stored.py: out of a worker's stores
    items.py         vectors and features at a moment
    searches.py      the serving code's search for what was read;  sampler.py: and its columns
    columns.py       samples as columns;  layout.py: as the released tables name them;  shards.py: files
    replay.py        all of it, in order;  cluster.py: out of the settings
    served.py        the same from answers that carried their features
"""
