/* One session on two sides: writers at different stages, repair, backfill, flips, and a crash at any moment.

   What stands in one `atomic` is one call to one server. A process that is not scheduled any more has crashed; what it
   had sent may still arrive, so a put stays enabled after the end. README.md says what is run, and what stands for what. */

#ifndef W
#define W 3 /* writers */
#endif
#ifndef M
#define M 2 /* messages; the first is there in the beginning */
#endif
#ifndef OPS
#define OPS (CREATE | RENAME | DELETE | APPEND | EDIT | BURY | CLEAR)
#endif
#ifndef REPAIRS
#define REPAIRS 0 /* repairers beside the writers */
#endif
#ifndef READS
#define READS 0 /* whether the first writer's user is flipped to the other side, and reads there */
#endif
#ifndef RUNS
#define RUNS 0 /* runs of a backfill; with none, both sides are equal in the beginning */
#endif

#define OLD 0
#define NEW 1
#define NONE 255
#define AHEAD 12 /* what a clock shows that is ahead of the other one */
#define ALL ((1 << M) - 1)

#define CREATE 1
#define RENAME 2
#define DELETE 4
#define APPEND 8
#define EDIT 16
#define BURY 32 /* deletes one message */
#define CLEAR 64

typedef Session {
  bool here;        /* the header */
  byte ver, born;   /* of the header */
  byte deleted, cleared, last;
  byte m[M];        /* each message's version, or NONE */
  byte tomb[M];     /* the version of each message's deletion, or 0 */
}

Session side[2];
bool open[2];     /* the journals */
bool mark[W];     /* each writer's mark; it lies in the journal of `first` */
byte ids[W];      /* which messages a mark concerns, a bit each */
byte first[W];
bool one_sided[W];
bool backfilled;
bool stop, ended;

/* The ledger. No process decides by it. Sets of effects have a bit for each writer. */
byte op[W], about[W], gave[W], known[W];
byte done, marked, own[2];
byte deletes, sweeps, headers, puts[M], burials[M];
byte lifted[W]; /* deletions of messages whose lives had ended before this effect */
bool quiet;

byte k, v, e;

#define BIT(x) (1 << (x))
#define covers(a, b) (((a) & (b)) == (b))
#define raise(a, b) if :: (a) < (b) -> a = b :: else fi
#define each(i, n, ...) i = 0; do :: i < n -> __VA_ARGS__; i++ :: else -> break od; i = 0

inline end_life(s) {
  s.here = false; s.ver = 0; s.born = 0;
  each(k, M, s.m[k] = NONE; s.tomb[k] = 0)
}

#ifdef NO_TOMBSTONE
#define is_buried(s, i) false
#else
#define is_buried(s, i) (s.tomb[i] > 0)
#endif
#ifdef NO_CLEARED
#define is_cleared(s, i) false
#else
#define is_cleared(s, i) (s.m[i] < s.cleared)
#endif

inline sweep(s) {
  each(k, M, if :: s.m[k] != NONE && (is_cleared(s, k) || is_buried(s, k)) -> s.m[k] = NONE :: else fi)
}

#ifdef NO_BORN
#define life(s) s.ver
#else
#define life(s) s.born
#endif
#ifdef NO_COMPARISON
#define newer(a, b) true
#else
#define newer(a, b) ((a) > (b))
#endif

/* Joins `c` into `s`. */
inline join(s, c) {
  d_step {
    raise(s.deleted, c.deleted);
    if :: s.here && life(s) < s.deleted -> end_life(s) :: else fi;
    raise(s.cleared, c.cleared);
    if
    :: c.here && life(c) >= s.deleted ->
      if :: !s.here || newer(c.ver, s.ver) -> s.ver = c.ver :: else fi;
      raise(s.born, c.born);
      s.here = true;
      each(k, M, raise(s.tomb[k], c.tomb[k]));
      each(k, M, if :: c.m[k] != NONE && (s.m[k] == NONE || newer(c.m[k], s.m[k])) -> s.m[k] = c.m[k] :: else fi)
    :: else
    fi;
    sweep(s);
    raise(s.last, c.deleted);
    raise(s.last, c.cleared);
    raise(s.last, c.ver);
    each(k, M, raise(s.last, c.tomb[k]); if :: c.m[k] != NONE -> raise(s.last, c.m[k]) :: else fi)
  }
}

/* Reads the header of `s`, and those of its messages that are in `which`, into `c`. */
inline fetch(s, c, which) {
  d_step {
    c.here = s.here; c.ver = s.ver; c.born = s.born; c.deleted = s.deleted; c.cleared = s.cleared;
    each(k, M,
      c.m[k] = NONE; c.tomb[k] = 0;
      if :: (which) & BIT(k) -> c.m[k] = s.m[k]; c.tomb[k] = s.tomb[k] :: else fi)
  }
}

inline forget(c) {
  d_step {
    c.here = false; c.ver = 0; c.born = 0; c.deleted = 0; c.cleared = 0;
    each(k, M, c.m[k] = 0; c.tomb[k] = 0)
  }
}

/* Rule 1, of what `s` holds, as far as the effects in `who` say it. */
inline check_ledger(s, who) {
  each(e, W,
    if
    :: done & (who) & BIT(e) ->
      if
      :: op[e] & (CREATE | RENAME) && covers(known[e], deletes) -> assert(s.here && s.ver >= gave[e])
      :: op[e] == DELETE && covers(known[e], headers) -> assert(!s.here)
      :: op[e] & (APPEND | EDIT) && covers(known[e], sweeps) && covers(lifted[e], burials[about[e]]) ->
        assert(s.m[about[e]] != NONE && s.m[about[e]] >= gave[e])
      :: op[e] == BURY && (covers(known[e], deletes) || covers(known[e], puts[about[e]])) ->
        assert(s.m[about[e]] == NONE)
      :: else
      fi;
      if
      :: op[e] & (CLEAR | DELETE) -> each(k, M, assert(!covers(known[e], puts[k]) || s.m[k] == NONE))
      :: else
      fi
    :: else
    fi)
}

inline differ(result) {
  result = side[OLD].here != side[NEW].here || side[OLD].ver != side[NEW].ver || side[OLD].born != side[NEW].born;
  /* Nothing is copied of a session that was deleted before the migration: what is known of that stays where it is. */
  result = result || (!quiet &&
    (side[OLD].deleted != side[NEW].deleted || side[OLD].cleared != side[NEW].cleared));
  each(k, M, result = result || side[OLD].m[k] != side[NEW].m[k] ||
    (!quiet && side[OLD].tomb[k] != side[NEW].tomb[k]))
}

inline any_mark(result) {
  result = false;
  each(e, W, result = result || mark[e])
}

byte different, some;

/* What holds after every step. */
inline check() {
  d_step {
    different = false;
    if :: backfilled || ended -> differ(different) :: else fi;
    any_mark(some);
    assert(!different || some); /* rule 2 */
    if
    :: ended ->
      assert(!some && !different); /* rule 4 */
#ifdef WITNESS
      assert(!(done == BIT(W) - 1 && own[OLD] && own[NEW] && (marked == done || RUNS) && backfilled == (RUNS > 0)));
#endif
      check_ledger(side[OLD], 255); check_ledger(side[NEW], 255);
      assert(side[OLD].here || deletes);
      assert(side[OLD].m[0] != NONE || sweeps || burials[0])
    :: else ->
      check_ledger(side[OLD], own[OLD]); check_ledger(side[NEW], own[NEW])
    fi;
    different = false; some = false
  }
}

/* Executes writer w's command on `s`, and sets its mark in the same step. */
inline execute(w, s, clock) {
  d_step {
    if
    :: op[w] == CREATE && !s.here -> skip
    :: op[w] & (RENAME | CLEAR | DELETE) && s.here -> skip
    :: op[w] == APPEND && s.here && s.m[about[w]] == NONE && !s.tomb[about[w]] -> skip
    :: op[w] & (EDIT | BURY) && s.here && s.m[about[w]] != NONE -> skip
    :: else -> op[w] = 0 /* refused, or nothing to do */
    fi;
    if
    :: op[w] ->
#ifdef NO_LOGICAL_CLOCK
      v = clock + 4 * w + 4;
#else
      v = s.last + 1;
      raise(v, clock);
#endif
#ifndef NO_PARITY
      v = v + ((v & 1) ^ first[w]);
#endif
      s.last = v;
      if
      :: op[w] == CREATE -> s.here = true; s.ver = v; s.born = v
      :: op[w] == RENAME -> s.ver = v
      :: op[w] == DELETE -> s.deleted = v; s.cleared = v; end_life(s)
      :: op[w] == CLEAR -> s.cleared = v; each(k, M, s.m[k] = NONE)
      :: op[w] & (APPEND | EDIT) -> s.m[about[w]] = v
      :: op[w] == BURY -> s.tomb[about[w]] = v; s.m[about[w]] = NONE
      fi;
      ids[w] = 0;
      if :: op[w] & (APPEND | EDIT | BURY) -> ids[w] = BIT(about[w]) :: else fi;
      note(w)
    :: else
    fi;
    printf("writer %d: command %d of message %d on side %d, version %d, one-sided %d, marked %d\n",
      w, op[w], about[w], first[w], v, one_sided[w], mark[w]);
    v = 0
  }
}

#ifdef MARK_AFTER_WRITE
#define IN_THE_STEP false
#else
#define IN_THE_STEP true
#endif

/* Writes an effect into the ledger. One effect is decided before another when the side that gave the later one knew of
   it: it took effect on that side before, or its mark was gone. */
inline note(w) {
  each(e, W, assert(!(done & BIT(e) && gave[e] == v))); /* so a version stands for what was written */
  gave[w] = v;
  known[w] = own[first[w]];
  each(e, W, if :: marked & BIT(e) && !mark[e] -> known[w] = known[w] | BIT(e) :: else fi);
  each(e, W, if :: known[w] & deletes & BIT(e) -> lifted[w] = lifted[w] | known[e] :: else fi);
  done = done | BIT(w);
  own[first[w]] = own[first[w]] | BIT(w);
  if
  :: !one_sided[w] || open[first[w]] -> mark[w] = IN_THE_STEP; marked = marked | BIT(w)
  :: else -> if :: op[w] == DELETE -> quiet = true :: else fi
  fi;
  if :: op[w] == DELETE -> deletes = deletes | BIT(w) :: else fi;
  if :: op[w] & (CLEAR | DELETE) -> sweeps = sweeps | BIT(w) :: else fi;
  if :: op[w] & (CREATE | RENAME) -> headers = headers | BIT(w) :: else fi;
  if :: op[w] & (APPEND | EDIT) -> puts[about[w]] = puts[about[w]] | BIT(w) :: else fi;
  if :: op[w] == BURY -> burials[about[w]] = burials[about[w]] | BIT(w) :: else fi
}

byte turn; /* Writers are alike, so it is enough to look at those schedules in which they execute in their order. */

proctype Writer(byte w) {
  Session c;
  byte clock;
  atomic {
    !stop && (RUNS || turn == w);
    if :: first[w] = OLD :: RUNS == 0 || backfilled -> first[w] = NEW fi; /* rule 7 */
    if :: one_sided[w] = true :: true fi;
    if :: !one_sided[w] -> open[OLD] = true; open[NEW] = true :: else fi; /* a stage but `off` opens the journals */
#if RUNS
  }
  atomic {
    !stop && turn == w;
#endif
    turn++;
    if
    :: OPS & CREATE -> op[w] = CREATE
    :: OPS & RENAME -> op[w] = RENAME
    :: OPS & DELETE -> op[w] = DELETE
    :: OPS & APPEND -> op[w] = APPEND
    :: OPS & EDIT -> op[w] = EDIT
    :: OPS & BURY -> op[w] = BURY
    :: OPS & CLEAR -> op[w] = CLEAR
    fi;
    if
    :: op[w] & (APPEND | EDIT | BURY) -> if :: about[w] = 0 :: M > 1 -> about[w] = M - 1 fi
    :: else
    fi;
#ifdef SKEW_LONGER_THAN_MIGRATION
    if :: clock = 0 :: clock = AHEAD fi;
#else
    /* No clock is so far behind that a migration's end seems to be before its beginning. */
    if :: clock = (quiet && backfilled -> 2 * AHEAD : 0) :: clock = (quiet && backfilled -> 2 * AHEAD : AHEAD) fi;
#endif
    execute(w, side[first[w]], clock);
    clock = 0;
    if
    :: op[w] && !one_sided[w] -> fetch(side[first[w]], c, ids[w])
    :: else
    fi;
    check();
    if :: !op[w] || one_sided[w] -> goto over :: else fi
  }
#ifdef MARK_AFTER_WRITE
  atomic { !stop; mark[w] = true; check() }
#endif
#ifdef CLEAR_BEFORE_PUT
  atomic { !stop; mark[w] = false; check() }
#endif
  /* The handover. */
  atomic { join(side[1 - first[w]], c); printf("writer %d: put\n", w); forget(c); check() }
  atomic { !stop; mark[w] = false; printf("writer %d: cleared its mark\n", w); check() }
over:
  skip
}

byte seen[REPAIRS + READS + 1]; /* the marks that a merge saw */
byte which;

/* Merges what marks concern, and clears them. */
inline merge(r, c) {
  atomic { concerned(seen[r]); fetch(side[OLD], c, which); which = 0; printf("merge %d: saw %d, fetched old\n", r, seen[r]) }
  atomic { join(side[NEW], c); printf("merge %d: put into new\n", r); forget(c); check() }
#ifndef ONE_WAY_REPAIR
  atomic { !stop; concerned(seen[r]); fetch(side[NEW], c, which); which = 0; printf("merge %d: fetched new\n", r) }
  atomic { join(side[OLD], c); printf("merge %d: put into old\n", r); forget(c); check() }
#endif
#ifdef CLEAR_UNSEEN
  atomic { !stop; clear(255); seen[r] = 0; check() }
#endif
  atomic { !stop; clear(seen[r]); printf("merge %d: cleared %d\n", r, seen[r]); seen[r] = 0; check() }
}

inline concerned(marks) {
  d_step { which = 0; each(e, W, if :: marks & BIT(e) -> which = which | ids[e] :: else fi) }
}

inline clear(marks) {
  d_step { each(e, W, if :: marks & BIT(e) -> mark[e] = false :: else fi) }
}

/* Looks up the marks in the journal of side `s`. */
inline look(r, s, with_one_sided) {
  d_step {
    each(e, W,
      if :: mark[e] && first[e] == (s) && (with_one_sided || !one_sided[e]) -> seen[r] = seen[r] | BIT(e) :: else fi)
  }
}

proctype Repairer(byte r) {
  Session c;
  byte s;
  bool everything;
  do
  :: s < 2 ->
    atomic { !stop; if :: everything = true :: everything = false fi; look(r, s, everything); everything = false }
    if :: seen[r] -> merge(r, c) :: else fi;
    s++
  :: else -> break
  od
}

/* The user of a writer has his answer and is served by the other side now, in this process or another one. */
proctype Reader(byte r) {
  Session c;
  byte u;
  atomic { if :: !stop && done & 1 -> u = 0 :: !stop && done & 2 -> u = 1 fi; look(r, first[u], true) }
#ifndef NO_MERGE_ON_FLIP
  if :: seen[r] -> merge(r, c) :: else fi;
#endif
  atomic { !stop; check_ledger(side[1 - first[u]], BIT(u)) } /* rule 6 */
}

/* One run of a backfill from old to new. `holder` is who may move the checkpoint. */
byte holder;
bool checkpoint; /* behind this session */

proctype Backfill(byte n) {
  Session c;
  bool were_open, skips;
  atomic { !stop; holder = n; were_open = open[OLD] && open[NEW] }
#ifndef OPEN_AFTER_READ
  atomic { !stop; open[OLD] = true }
  atomic { !stop; open[NEW] = true; skips = checkpoint && were_open; were_open = false }
#endif
  if
  :: !skips ->
#ifdef CHECKPOINT_BEFORE_DATA
    atomic { !stop && holder == n; checkpoint = true }
#endif
#ifdef END_BEFORE_DATA
    atomic { !stop && holder == n; backfilled = true; check() }
#endif
    atomic { !stop; if :: side[OLD].here -> fetch(side[OLD], c, ALL) :: else fi }
#ifdef OPEN_AFTER_READ
    atomic { !stop; open[OLD] = true; open[NEW] = true }
#endif
    atomic { join(side[NEW], c); forget(c); check() }
    atomic { !stop && holder == n; checkpoint = true }
  :: else
  fi;
  /* The repair at its end is a repairer's, so it is not repeated here. */
  atomic { !stop && holder == n; backfilled = true; check() }
  atomic { !stop && holder == n; checkpoint = false }
}

/* All processes die; then the operator's commands run to their ends. */
proctype End() {
  Session c;
  byte s;
  atomic {
    stop = true;
    if
    :: RUNS && !backfilled && side[OLD].here && !(checkpoint && open[OLD] && open[NEW]) ->
      fetch(side[OLD], c, ALL);
      join(side[NEW], c)
    :: else
    fi;
    do
    :: s < 2 ->
      look(REPAIRS + READS, s, true);
      concerned(seen[REPAIRS + READS]);
      fetch(side[OLD], c, which); join(side[NEW], c);
      fetch(side[NEW], c, which); join(side[OLD], c);
      clear(seen[REPAIRS + READS]);
      seen[REPAIRS + READS] = 0;
      s++
    :: else -> break
    od;
    s = 0; which = 0; forget(c);
    ended = true;
    check()
  }
}

init {
  byte i;
  atomic {
    side[OLD].here = true; side[OLD].ver = 2; side[OLD].last = 2;
    side[NEW].here = RUNS == 0; side[NEW].ver = (RUNS == 0 -> 2 : 0); side[NEW].last = side[NEW].ver;
    open[OLD] = RUNS == 0; open[NEW] = RUNS == 0;
    i = 1;
    do :: i < M -> side[OLD].m[i] = NONE; side[NEW].m[i] = NONE; i++ :: else -> break od;
    side[NEW].m[0] = (RUNS == 0 -> 0 : NONE);
    i = 0; do :: i < W -> run Writer(i); i++ :: else -> break od;
    i = 0; do :: i < REPAIRS -> run Repairer(i); i++ :: else -> break od;
    if :: READS -> run Reader(REPAIRS) :: else fi;
    i = 1; do :: i <= RUNS -> run Backfill(i); i++ :: else -> break od;
    i = 0;
    run End()
  }
}
