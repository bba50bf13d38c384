/* One document on two sides, of which the new one cannot compare and write in one step: everyone who is at work there
   announces it before and looks after.

   What stands in one `atomic` is one call to one server. A process that is not scheduled any more has crashed; when it is
   `late`, its leases have run out, and nothing of it arrives any more. README.md says what is run, and what stands for
   what. */

#ifndef W
#define W 2 /* writers */
#endif
#ifndef REPAIRS
#define REPAIRS 0 /* repairers beside the writers */
#endif
#ifndef RUNS
#define RUNS 0 /* runs of a backfill; with none, both sides are equal in the beginning */
#endif

#ifndef AHEAD
#define AHEAD 12 /* what a clock shows that is ahead of the other one */
#endif

#define OLD 0
#define NEW 1
#define BIT(x) (1 << (x))
#define covers(a, b) (((a) & (b)) == (b))
#define raise(a, b) if :: (a) < (b) -> a = b :: else fi
#define each(i, n, ...) i = 0; do :: i < n -> __VA_ARGS__; i++ :: else -> break od; i = 0

/* A version of 0: there is none. On the old side `ver` is 0 when `deleted` is greater; on the new one, which keeps
   documents and deletions in two collections, a document is gone when its version is not greater than `deleted`. */
byte ver[2], deleted[2];

/* Marks, a bit each, in the two journals. Process p's are: BIT(p), its write's or its announcement's, which have a lease;
   AGAIN(p), which it leaves behind where somebody else was at work, without a lease. */
#define PROCESSES (W + REPAIRS + RUNS)
#define AGAIN(p) BIT((p) + PROCESSES)
#define WRITES (BIT(W) - 1)
#define LEASED ((BIT(PROCESSES) - 1) & ~late)
short journal[2];
byte late;    /* processes whose leases have run out */
byte joining; /* processes that have announced a join into the new side */
bool backfilled, ended;

/* The ledger. No process decides by it. */
byte done, deletes, settled, own[2], gave[W], known[W];

byte e, f, last, beaten;

#define alive(x) (ver[x] > deleted[x])
#define shown(x) (alive(x) -> ver[x] : 0)

inline note(w, x) {
  each(e, W, assert(!(done & BIT(e) && gave[e] == v))); /* so a version stands for what was written */
  gave[w] = v;
  done = done | BIT(w)
}

/* Effects that one on side x knows of: those on its side, and those that both sides are said to have. */
#define decided(x) (own[x] | settled)

inline check() {
  d_step {
    assert(!(RUNS == 0 || backfilled || ended) || journal[OLD] || journal[NEW] || shown(OLD) == shown(NEW)); /* rule 2 */
    if
    :: ended ->
      assert(!journal[OLD] && !journal[NEW] && shown(OLD) == shown(NEW)); /* rule 4 */
#ifdef WITNESS
      assert(!(done == WRITES && own[OLD] && own[NEW] && (settled || REPAIRS || RUNS)));
#endif
      /* Rule 1: what is there in the end was written last. */
      /* Of two writes of the new side beside each other, of which neither saw the other, the one that ends last stays. */
      beaten = 0; last = 0;
      each(e, W, each(f, W,
        if :: e != f && own[NEW] & BIT(e) && own[NEW] & BIT(f) && !(known[e] & BIT(f)) -> beaten = beaten | BIT(e) :: else fi));
      each(e, W, if :: (own[OLD] | own[NEW]) & ~beaten & BIT(e) -> raise(last, gave[e]) :: else fi);
      each(e, W, if
        :: done & BIT(e) && gave[e] >= last && (alive(OLD) -> ver[OLD] == gave[e] : (deletes & BIT(e)) != 0) -> last = 255
        :: else
        fi);
      assert(last == 255 || last == 0 && ver[OLD] == 2);
      beaten = 0;
      last = 0
    :: else
    fi
  }
}

inline clear(p, x, marks) {
  journal[x] = journal[x] & ~(marks);
  settled = settled | ((marks) & WRITES & done);
  printf("%d: cleared %d on side %d\n", p, marks, x);
  check()
}

/* Joins a state into the old side, in one step. */
inline join_old(c_ver, c_deleted) {
  d_step {
    raise(deleted[OLD], c_deleted);
    raise(ver[OLD], c_ver);
    if :: ver[OLD] <= deleted[OLD] -> ver[OLD] = 0 :: else fi
  }
}

#ifdef ONE_TOMBSTONE
#define keep(v) deleted[NEW] = v
#else
#define keep(v) raise(deleted[NEW], v) /* each version of a deletion has its record, and the greatest counts */
#endif

/* Joins a state into the new side: looks, writes what is newer, and looks whether a deletion came in between. It keeps
   away from what a writer is at work on. */
inline join_new(p) {
  busy = false;
  atomic { !(late & BIT(p)); joining = joining | BIT(p) }
#ifndef NO_EXCLUSION
  atomic { !(late & BIT(p)); busy = (journal[NEW] & WRITES & LEASED) != 0 }
#endif
  if
  :: !busy ->
    atomic { !(late & BIT(p)); h_ver = ver[NEW]; h_deleted = deleted[NEW] }
    if
    :: c_deleted > h_deleted -> atomic { !(late & BIT(p)); keep(c_deleted); check() }
    :: else
    fi;
    if
#ifdef NO_COMPARISON
    :: c_ver ->
#else
    :: c_ver > h_ver && c_ver > h_deleted && c_ver > c_deleted ->
#endif
      atomic { !(late & BIT(p)); ver[NEW] = c_ver; printf("%d: put version %d into new\n", p, c_ver); check() }
#ifndef NO_SECOND_LOOK
      atomic { !(late & BIT(p)); busy = c_ver <= deleted[NEW] }
      if
      :: busy -> atomic { !(late & BIT(p)); ver[NEW] = 0; busy = false; check() }
      :: else
      fi
#endif
    :: else ->
      if
      :: h_ver && h_ver <= h_deleted || h_ver && h_ver <= c_deleted -> atomic { !(late & BIT(p)); ver[NEW] = 0; check() }
      :: else
      fi
    fi
  :: else
  fi;
  atomic { !(late & BIT(p)); joining = joining & ~BIT(p); h_ver = 0; h_deleted = 0; c_ver = 0; c_deleted = 0 }
}

/* Clears marks where no others stand, in either journal; `left` says of each journal whether some were left there. */
inline settle(p, marks_old, marks_new) {
  left[OLD] = false; left[NEW] = false;
#ifndef ONE_JOURNAL
  if
  :: marks_old -> atomic { !(late & BIT(p)); others(left[NEW], NEW, (marks_old) | (marks_new)) }
  :: else
  fi;
  if
  :: marks_new -> atomic { !(late & BIT(p)); others(left[OLD], OLD, (marks_old) | (marks_new)) }
  :: else
  fi;
#endif
  if
  :: left[OLD] || left[NEW] -> left[OLD] = true; left[NEW] = true
  :: else ->
    if
    :: marks_old ->
      atomic {
        !(late & BIT(p));
        others(left[OLD], OLD, (marks_old) | (marks_new));
        if :: !left[OLD] -> clear(p, OLD, marks_old) :: else fi
      }
    :: else
    fi;
    if
    :: marks_new ->
      atomic { !(late & BIT(p)); others(left[NEW], NEW, (marks_old) | (marks_new)) }
      if
      :: !left[NEW] -> atomic { !(late & BIT(p)); clear(p, NEW, marks_new) }
      :: else
      fi
    :: else
    fi
  fi
}

inline others(result, x, marks) {
#ifdef NO_LOOK
  result = false
#else
  result = (journal[x] & ~(marks)) != 0
#endif
}

byte turn; /* Writers are alike, so it is enough to look at those schedules in which they begin in their order. */

proctype Writer(byte w) {
  byte v, c_ver, c_deleted, h_ver, h_deleted, clock;
  bool busy, left[2], deletion, one_sided;
  atomic {
    turn == w && !ended;
    turn++;
    if
    :: true -> skip
    :: RUNS == 0 || backfilled -> journal[NEW] = journal[NEW] | BIT(w); goto new_first
    fi;
    if :: true -> deletion = true :: true fi;
    if :: true -> one_sided = true :: true fi;
    if :: clock = 0 :: clock = AHEAD fi;
    if :: deletion && !ver[OLD] -> goto over :: else fi;
    d_step {
      v = (ver[OLD] > deleted[OLD] -> ver[OLD] : deleted[OLD]) + 1;
      raise(v, clock);
      v = v + (v & 1);
      if
      :: deletion -> deleted[OLD] = v; ver[OLD] = 0; c_deleted = v; deletes = deletes | BIT(w)
      :: else -> ver[OLD] = v; c_ver = v; c_deleted = deleted[OLD]
      fi;
      known[w] = decided(OLD);
      note(w, OLD);
      own[OLD] = own[OLD] | BIT(w);
      journal[OLD] = journal[OLD] | BIT(w);
      printf("writer %d: deletes %d on old, version %d, one-sided %d\n", w, deletion, v, one_sided);
      v = 0; clock = 0
    }
    check();
    if :: one_sided -> goto over :: else -> deletion = false fi
  }
  join_new(w);
  if :: busy -> goto over :: else fi;
  settle(w, BIT(w), 0);
  goto over;

new_first:
#ifndef NO_EXCLUSION
  if
  :: atomic { !(late & BIT(w)) && !(joining & ~late) }
  :: atomic { !(late & BIT(w)) && joining & ~late; printf("writer %d: waits in vain\n", w) }
    atomic { !(late & BIT(w)); clear(w, NEW, BIT(w)) }
    goto over
  fi;
#endif
  atomic {
    !(late & BIT(w));
    h_ver = ver[NEW]; h_deleted = deleted[NEW];
    if :: true -> deletion = true :: true fi;
    if
    :: deletion && h_ver <= h_deleted -> goto nothing
    :: else -> known[w] = decided(NEW)
    fi
  }
  atomic {
    !(late & BIT(w));
    if :: true -> one_sided = true :: true fi;
    if :: clock = 0 :: clock = AHEAD fi;
    d_step {
      v = (h_ver > h_deleted -> h_ver : h_deleted) + 1;
      raise(v, clock);
      v = v + 1 - (v & 1);
#ifndef SAME_MICROSECOND
      each(e, W, if :: done & BIT(e) && gave[e] == v -> v = v + 2 :: else fi);
      each(e, W, if :: done & BIT(e) && gave[e] == v -> v = v + 2 :: else fi);
#endif
      if
      :: deletion -> keep(v); c_deleted = v; deletes = deletes | BIT(w)
      :: else -> ver[NEW] = v; c_ver = v; c_deleted = h_deleted; own[NEW] = own[NEW] | BIT(w)
      fi;
      note(w, NEW);
      clock = 0; h_ver = 0; h_deleted = 0; v = 0;
      printf("writer %d: deletes %d on new, version %d, one-sided %d\n", w, deletion, gave[w], one_sided)
    }
    check()
  }
  if
  :: deletion -> atomic { !(late & BIT(w)); deletion = false; ver[NEW] = 0; own[NEW] = own[NEW] | BIT(w); check() }
  :: else
  fi;
  if :: one_sided -> goto over :: else fi;
  atomic {
    !(late & BIT(w));
    join_old(c_ver, c_deleted);
    c_ver = 0; c_deleted = 0;
    printf("writer %d: put into old\n", w);
    check()
  }
nothing:
  settle(w, 0, BIT(w));
over:
  skip;
  d_step { v = 0; c_ver = 0; c_deleted = 0; h_ver = 0; h_deleted = 0; clock = 0; busy = false; left[0] = false; left[1] = false;
    deletion = false; one_sided = false }
}

/* Ends an announcement whose work has ended, where somebody else was at work: another mark takes its place. */
inline withdraw(p, x) {
  if
  :: left[x] ->
    atomic { !(late & BIT(p)); journal[x] = journal[x] | AGAIN(p) }
    atomic { !(late & BIT(p)); journal[x] = journal[x] & ~BIT(p) }
  :: else
  fi
}

inline put_old() {
  join_old(d_ver, d_deleted); d_ver = 0; d_deleted = 0; to_old = false
}

/* A repairer, or a call after a flip: merges what one of the journals marks. */
proctype Repairer(byte p) {
  byte c_ver, c_deleted, h_ver, h_deleted;
  byte d_ver, d_deleted;
  bool busy, leased, written, to_old, to_new, left[2];
  bit x;
  short seen[2];
  atomic {
    if :: !(late & BIT(p)) && journal[OLD] :: !(late & BIT(p)) && journal[NEW] -> x = NEW fi;
    seen[x] = journal[x]
  }
#ifndef NO_ANNOUNCEMENT
  atomic { !(late & BIT(p)); journal[x] = journal[x] | BIT(p) }
#endif
  atomic {
    !(late & BIT(p));
    seen[1 - x] = journal[1 - x];
#ifndef NO_LEASE
    leased = ((seen[OLD] | seen[NEW]) & LEASED) != 0;
#endif
    written = (seen[NEW] & LEASED) != 0;
    seen[x] = seen[x] | BIT(p)
  }
  atomic { !(late & BIT(p)); c_ver = shown(OLD); c_deleted = deleted[OLD]; printf("%d: read old\n", p) }
  atomic {
    !(late & BIT(p));
    d_ver = shown(NEW); d_deleted = deleted[NEW];
    /* Only what the other side did not have is put, and nothing into the new side where somebody writes. */
    to_old = d_ver > c_ver || d_deleted > c_deleted;
    to_new = (c_ver > d_ver || c_deleted > d_deleted) && (x == OLD || !written);
    if :: !to_new -> c_ver = 0; c_deleted = 0 :: else fi;
    if :: !to_old -> d_ver = 0; d_deleted = 0 :: else fi;
    printf("%d: read new\n", p)
  }
  if
  :: x == NEW && to_old -> atomic { !(late & BIT(p)); put_old(); check() }
  :: else
  fi;
  if
  :: to_new -> join_new(p); if :: busy -> left[x] = true; goto over :: else fi
  :: else
  fi;
  if
  :: x == OLD && to_old -> atomic { !(late & BIT(p)); put_old(); check() }
  :: else
  fi;
  if
#ifdef LEASE_AT_THE_END
  :: (seen[OLD] | seen[NEW]) & LEASED & ~BIT(p) -> left[x] = true; goto over
#else
  :: leased -> left[x] = true; goto over
#endif
  :: else
  fi;
  settle(p, seen[OLD], seen[NEW]);
over:
  withdraw(p, x);
  d_step { seen[0] = 0; seen[1] = 0; left[0] = false; left[1] = false; busy = false; leased = false; written = false; x = OLD;
    c_ver = 0; c_deleted = 0; d_ver = 0; d_deleted = 0; to_old = false; to_new = false }
}

/* One run of a backfill from old to new. That the journals are open is looked at in chat.pml. */
proctype Backfill(byte p) {
  byte c_ver, c_deleted, h_ver, h_deleted;
  bool busy, left[2];
#ifndef NO_ANNOUNCEMENT
  atomic { !(late & BIT(p)); journal[OLD] = journal[OLD] | BIT(p) }
#endif
  atomic { !(late & BIT(p)); c_ver = shown(OLD); c_deleted = deleted[OLD] }
  join_new(p);
  if
  :: busy
  :: else ->
    settle(p, BIT(p), 0);
    withdraw(p, OLD);
    atomic { !(late & BIT(p)); backfilled = true; check() }
  fi
}

/* The leases of a process run out: it ended, or died, or slept too long. */
proctype Time(byte p) {
  atomic { !ended; late = late | BIT(p) }
}

proctype End() {
  atomic {
    late = BIT(PROCESSES) - 1;
    if
    :: journal[OLD] || journal[NEW] || RUNS && !backfilled ->
      d_step {
        if :: ver[NEW] <= deleted[NEW] -> ver[NEW] = 0 :: else fi;
        raise(deleted[NEW], deleted[OLD]);
        raise(ver[NEW], ver[OLD]);
        if :: ver[NEW] <= deleted[NEW] -> ver[NEW] = 0 :: else fi;
        ver[OLD] = ver[NEW]; deleted[OLD] = deleted[NEW];
        journal[OLD] = 0; journal[NEW] = 0
      }
    :: else
    fi;
    ended = true;
    check()
  }
}

init {
  byte i;
  atomic {
    ver[OLD] = 2; ver[NEW] = (RUNS -> 0 : 2);
    i = 0; do :: i < W -> run Writer(i); i++ :: else -> break od;
    i = 0;
    do
    :: i < REPAIRS -> run Repairer(W + i); i++
    :: else -> break
    od;
    i = 0;
    do :: i < RUNS -> run Backfill(W + REPAIRS + i); i++ :: else -> break od;
    i = 0;
    do :: i < PROCESSES -> run Time(i); i++ :: else -> break od;
    i = 0;
    run End()
  }
}
