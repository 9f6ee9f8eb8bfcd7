/*
 * table.pml - a model of the cancellation table's protocol, checked exhaustively by spin (run_model.py).
 *
 * One bucket of two slots; one reader, which holds one entry made from group A; four writers, which each cancel once:
 * two of them A, two of them other groups that live in the same bucket, so that A's slot is raced for and pushed out.
 * The bucket starts empty, or full with A and B in it. Each access to shared memory is one step; a writer that is slow,
 * or killed, is one whose next step does not come.
 *
 * What is claimed: a hit is never stale. Each writer of A first writes to the source that the entry is loaded from, then
 * cancels. If a writer's cancel had returned before a lookup began, and the lookup is a hit, then the entry's value must
 * contain that write. This is the assert in the reader, in both of its ways to a hit: the unmoved count, and the check.
 *
 * Memory order is not modelled: spin's steps are sequentially consistent. The source code says next to each atomic
 * access which other it pairs with, and why that is enough.
 *
 * Mutations, each of which must be found out (-DNAME):
 *
 *   PLAIN_STORE     A slot with the right tag is overwritten with a store instead of raised by CAS. Writer 1 takes stamp
 *                   3, the reader takes stamp 3 and loads (with 1's write, without 2's), writer 2 writes, takes stamp 4,
 *                   stores it and returns; then writer 1, which saw the slot before that, stores its 3 over it. Nothing
 *                   in the bucket is later than the reader's stamp any more: 2's cancel is lost.
 *   FLOOR_LATE      The floor is raised after the slot was replaced. Between the two, the cancel that was pushed out is
 *                   in neither place; a reader that comes then finds nothing. (A writer killed there leaves it so.)
 *   FIRST_MATCH     The reader takes the first slot with the right tag for the answer. Writer 1 takes stamp 3, the reader
 *                   takes stamp 3 and loads; writer 2 cancels A with stamp 4 and is pushed out, floor 4; then writer 1
 *                   finds no slot of A's and puts its old 3 in one. That slot says unchanged, and only the floor, which
 *                   this reader does not look at any more, knows better. So a tag that is found never means that there is
 *                   no later cancel. (Two slots with the same tag do not come about in this model: exhaustive with
 *                   -DDUPLICATES, which asserts it. The protocol does not rest on that, and a reader should not either.)
 *   LATE_STAMP      The stamp is taken after the load: a cancel in between is missed.
 *   TRUST_SEQUENCE  The one-load fast path watches `sequence` instead of `changes`: it moves before the slot does, so a
 *                   check in between finds nothing, and the fast path believes that check ever after.
 *   ANNOUNCE_FIRST  `changes` moves before the slot does: the same, with the same end.
 *
 * To keep the number of states down, without losing any behaviour that matters:
 *   - Writers of the same sort differ only in name, so the first of each sort takes its stamp first.
 *   - Stamps are unique, so a CAS compares a slot's stamp only.
 *   - A cancel returns in the step in which it advances `changes`, and a lookup begins in the step in which it reads it.
 *     Both make the claim stronger: more cancels count as returned, and as returned before the lookup.
 *   - The reader goes on looking up as long as it hits, and its first miss ends it: an entry that missed is dropped.
 */
#define SLOTS 2
#define NONE  255

#define A 1
#define B 2
#define C 3

#ifdef TRUST_SEQUENCE
#define WATCHED sequence
#else
#define WATCHED changes
#endif

/* The bucket. A slot is one word in memory, so tag and stamp change in one step. Tag 0, stamp 0: empty. */
byte tag[SLOTS];
byte stamp[SLOTS];
byte floor_stamp;

byte sequence;
byte changes;

byte written;  /* which of A's two writes the source contains: bits 1 and 2 */
byte returned; /* which of their cancels have returned */

byte stamped_a;     /* how many writers of A have their stamps, and of the others */
byte stamped_other;

inline compare_and_swap(slot, expected)
{
    won = (stamp[slot] == expected);
    if
    :: won -> tag[slot] = group; stamp[slot] = mine
    :: else
    fi
}

inline raise_floor(to)
{
    if
    :: floor_stamp < to -> floor_stamp = to
    :: else
    fi
}

proctype writer(byte group; byte order; byte write)
{
    byte mine = 0;
    byte i = 0;
    byte match = NONE;
    byte low = NONE;
    byte seen = 0; /* the stamp in slot `match`; if there is none, the one in slot `low` */
    bit won = 0;

    if
    :: group == A ->
        written = written | write;
        d_step { stamped_a == order -> stamped_a++; sequence++; mine = sequence }
    :: else ->
        d_step { stamped_other == order -> stamped_other++; sequence++; mine = sequence }
    fi;
#ifdef ANNOUNCE_FIRST
    changes++;
#endif

    do
    :: d_step {
            i < SLOTS ->
            if
            :: tag[i] == group && (match == NONE || stamp[i] > seen) -> match = i; seen = stamp[i]; low = NONE
            :: else ->
                if
                :: match == NONE && (low == NONE || stamp[i] < seen) -> low = i; seen = stamp[i]
                :: else
                fi
            fi;
            i++
        }
    :: d_step { i == SLOTS && match != NONE && seen >= mine -> won = 1 };
        break
    :: i == SLOTS && match != NONE && seen < mine;
        d_step {
#ifdef PLAIN_STORE
            won = 1; tag[match] = group; stamp[match] = mine;
#else
            compare_and_swap(match, seen);
#endif
            i = 0; match = NONE; seen = 0
        };
        if
        :: won -> break
        :: else /* scan again */
        fi
    :: i == SLOTS && match == NONE;
#ifndef FLOOR_LATE
        if
        :: seen == 0 /* an empty slot pushes nothing out */
        :: seen > 0 -> d_step { raise_floor(seen) }
        fi;
#endif
        d_step {
            compare_and_swap(low, seen);
#ifdef FLOOR_LATE
            if
            :: won
            :: else -> seen = 0
            fi;
#else
            seen = 0;
#endif
            i = 0; low = NONE
        };
#ifdef FLOOR_LATE
        d_step { raise_floor(seen); seen = 0 };
#endif
        if
        :: won -> break
        :: else /* scan again */
        fi
    od;

#ifdef DUPLICATES
    assert(tag[0] != tag[1] || tag[0] == 0);
#endif
    atomic {
#ifndef ANNOUNCE_FIRST
        changes++;
#endif
        returned = returned | write;
        i = 0; match = NONE; low = NONE; seen = 0; won = 0; mine = 0
    }
}

proctype reader()
{
    byte since = 0;    /* the entry's stamp */
    byte value = 0;    /* what the source contained when it was loaded */
    byte valid_at = 0; /* the count at which it was last found valid */
    byte before = 0;   /* the cancels that had returned when this lookup began */
    byte now = 0;
    byte i = 0;
    bit settled = 0;
    bit changed = 0;

    /* The fill. */
#ifdef LATE_STAMP
    value = written;
#endif
    valid_at = WATCHED;
    since = sequence;
#ifndef LATE_STAMP
    value = written;
#endif

    /* Lookups. */
    do
    :: d_step {
            before = returned;
            now = WATCHED;
            if
            :: now == valid_at -> assert((before & ~value) == 0); before = 0; now = 0
            :: else
            fi
        };
        if
        :: now == 0 /* that was a hit */
        :: else ->
            do
            :: d_step {
                    i < SLOTS && !settled && !changed ->
                    if
                    :: tag[i] == A && stamp[i] > since -> changed = 1
                    :: tag[i] == A && stamp[i] <= since ->
#ifdef FIRST_MATCH
                        settled = 1
#else
                        skip
#endif
                    :: else
                    fi;
                    i++
                }
            :: i == SLOTS || settled || changed -> break
            od;
            atomic {
                if
                :: changed || (!settled && floor_stamp > since) -> changed = 1
                :: else -> assert((before & ~value) == 0)
                fi;
                valid_at = now; now = 0; before = 0; i = 0; settled = 0
            };
            if
            :: changed ->
                d_step { since = 0; value = 0; valid_at = 0; changed = 0 };
                break
            :: else
            fi
        fi
    od
}

init
{
    atomic {
        if
        :: skip
        :: tag[0] = A; stamp[0] = 1; tag[1] = B; stamp[1] = 2; sequence = 2; changes = 2
        fi;
        run writer(A, 0, 1);
        run writer(A, 1, 2);
        run writer(B, 0, 0);
        run writer(C, 1, 0);
        run reader()
    }
}
