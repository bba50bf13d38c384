-- Reads a session, whole or in part. Replies {`found`, session, messages, tombstones, problems, more, count, standing,
-- fingerprint}; or {`missing`}, {`problem`, …}. Changes nothing, so it may run on a replica. The standing is `adopted` when the ledger has
-- the order of the messages; else it should be written down first: `foreign`, or `edited` where only a look at all
-- messages tells what another program did.

-- A part of a session ends where its messages outgrow this.
local PART_BYTES = 1048576

-- Whose session it must be; the migrator reads them all.
local scope = take_list()
local mode = take()

-- Read whole: the fingerprint of what is read is wanted, if that is all there is of the session.
if mode == 'whole' then
  noted = { hashes = {}, moments = {} }
end
local bare = is_bare()
local state, wrong = open(bare)
if wrong then
  if scope[1] then
    return scoped(wrong, scope[1]) or { 'missing' }
  end
  return wrong
elseif scope[1] and (not state.header or state.user ~= scope[1]) then
  return { 'missing' }
elseif not state.header and state.deleted == 0 then
  return { 'missing' }
end

local view, reason = foreign_view(state)
local problems = {}
if reason then
  local unlisted = problem(keys.header, reason, state.header.listing, state.user)
  if not view then
    return unlisted
  end
  problems[1] = unlisted
end

local function size()
  return view and view.size or redis.call('ZCARD', keys.order)
end

-- Returns the messages' ids and places from the one rank to the other, both from 0.
local function slice(first, last)
  if view then
    return view.slice(first, math.min(last, view.size - 1))
  end
  local found = {}
  local members = redis.call('ZRANGE', keys.order, first, last, 'WITHSCORES')
  for i = 1, #members, 2 do
    found[#found + 1] = { id = members[i], position = tonumber(members[i + 1]) }
  end
  if layout.fill then
    layout.fill(keys, found, first)
  end
  return found
end

-- Returns how many messages stand before `mark`, by halving.
local function rank_of(mark)
  local low, high = 0, size()
  while low < high do
    local middle = math.floor((low + high) / 2)
    if precedes(slice(middle, middle)[1], mark) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local function bytes_of(message)
  local bytes, fields = 0, message[7]
  for i = 1, #fields do
    bytes = bytes + #fields[i]
  end
  return bytes
end

local messages, edited = {}, false

-- Reads a message, of which the ledger has this entry; returns how many bytes it has.
local function read_one(item, raw)
  edited = edited or (layout.edited and not view and item.item and layout.edited(keys, item, raw))
  local message, bad = load_message(state, item, raw)
  if message then
    messages[#messages + 1] = message
    return bytes_of(message)
  elseif not bad then
    return 0
  end
  problems[#problems + 1] = bad
  return #bad[4] + 64
end

local function read(item)
  return read_one(item, redis.call('HGET', keys.entries, item.id))
end

local has_entries = not bare and redis.call('HLEN', keys.entries) > 0

-- The ledger's entries of some messages, of a few at a time.
local function entries_of(items)
  if not has_entries then
    return {}
  end
  local ids = {}
  for i, item in ipairs(items) do
    ids[i] = item.id
  end
  return #ids > 0 and redis.call('HMGET', keys.entries, unpack(ids)) or {}
end

local function take_place()
  local id, position = take(), take()
  return id ~= '' and { id = id, position = tonumber(position) } or nil
end

-- Reads up to `limit` messages from a rank on, and returns where the rest begins: {id, position}, or false at the end. What
-- would make them larger than `room` is left for the next part, even if that is all of it; 0 for any size.
local function read_forward(rank, limit, room)
  local bytes, last, step, full = 0, size(), 4, false
  while not full and rank < last and #messages < limit do
    -- Few at first: they may be large.
    step = math.min(2 * step, 40, limit - #messages)
    local items = slice(rank, rank + step - 1)
    local entries = entries_of(items)
    for i, item in ipairs(items) do
      local before, bad_before = #messages, #problems
      bytes = bytes + read_one(item, entries[i])
      if room > 0 and bytes > room then
        messages[before + 1], problems[bad_before + 1] = nil, nil
        full = true
        break
      end
      rank = rank + 1
      if bytes >= PART_BYTES then
        full = true
        break
      end
    end
  end
  if rank >= last or (rank == 0 and not full) then
    return false
  elseif rank == 0 then
    return { '', '-1' }
  end
  local behind = slice(rank - 1, rank - 1)[1]
  return { behind.id, text(behind.position) }
end

-- Reads the last `limit` messages before a rank; oldest first.
local function read_backward(rank, limit)
  while rank > 0 and #messages < limit do
    local first = math.max(0, rank - (limit - #messages))
    local found = slice(first, rank - 1)
    for i = #found, 1, -1 do
      read(found[i])
    end
    rank = first
  end
  for i = 1, math.floor(#messages / 2) do
    messages[i], messages[#messages - i + 1] = messages[#messages - i + 1], messages[i]
  end
end

local tombstones = {}

local function read_tombstones(ids)
  if bare then
    return
  elseif ids then
    for _, id in ipairs(ids) do
      local version = redis.call('HGET', keys.tombstones, id)
      if version then
        tombstones[#tombstones + 1] = { id, version }
      end
    end
    return
  end
  local flat = redis.call('HGETALL', keys.tombstones)
  for i = 1, #flat, 2 do
    tombstones[#tombstones + 1] = { flat[i], flat[i + 1] }
  end
end

local function read_some(ids)
  local wanted = {}
  for _, id in ipairs(ids) do
    wanted[id] = true
  end
  for rank = 0, view and view.size - 1 or -1, 1000 do
    for _, item in ipairs(slice(rank, rank + 999)) do
      if wanted[item.id] then
        read(item)
      end
    end
  end
  if not view then
    for _, id in ipairs(ids) do
      local position = redis.call('ZSCORE', keys.order, id)
      if position then
        read({ id = id, position = tonumber(position) })
      end
    end
  end
end

-- How many of the messages that the session lists are there.
local function count()
  local expiring = redis.call('HGET', keys.state, 'expiring')
  if layout.fill and not expiring then
    return size()
  end
  local there = 0
  for rank = 0, size() - 1, 1000 do
    for _, item in ipairs(slice(rank, rank + 999)) do
      local raw = expiring and redis.call('HGET', keys.entries, item.id)
      local gone = raw and has_passed(read_entry(0, raw).expires)
      there = there + (not gone and (layout.fill or layout.present(keys, item.id)) and 1 or 0)
    end
  end
  return there
end

local more, counted, print = false, 0, false
if mode == 'forward' or mode == 'whole' then
  local after, limit, room = take_place(), tonumber(take()), tonumber(take())
  local rank = after and rank_of(after) or 0
  local at = after and slice(rank, rank)[1]
  if at and at.id == after.id and at.position == after.position then
    rank = rank + 1
  end
  more = read_forward(rank, limit, room)
  if not after and not scope[1] then
    read_tombstones()
  end
  if mode == 'whole' and state.header and not more and #problems == 0 and not edited then
    print = fingerprint(bare)
  end
elseif mode == 'backward' then
  local before, limit = take_place(), tonumber(take())
  read_backward(before and rank_of(before) or size(), limit)
elseif mode == 'some' then
  local ids = take_list()
  read_some(ids)
  read_tombstones(ids)
elseif mode == 'count' then
  counted = count()
end
local standing = edited and 'edited' or view and 'foreign' or 'adopted'
return { 'found', session_reply(state), messages, tombstones, problems, more, counted, standing, print }
