-- The items of a sequence in a Redis list. `newest_first` where the framework pushes at the head.

local function items_in_list(key_of, newest_first)
  local storage = { expected = 'list', key = key_of }
  -- No item of a framework is this text: it stands for one while it is moved.
  local PLACEHOLDER = '\0chatstore\0'

  local function index(rank)
    return newest_first and -rank - 1 or rank
  end

  function storage.length(keys)
    return redis.call('LLEN', key_of(keys))
  end

  function storage.items(keys, first, last)
    if last < first then
      return {}
    elseif not newest_first then
      return redis.call('LRANGE', key_of(keys), first, last)
    end
    local items = redis.call('LRANGE', key_of(keys), index(last), index(first))
    for i = 1, math.floor(#items / 2) do
      items[i], items[#items - i + 1] = items[#items - i + 1], items[i]
    end
    return items
  end

  function storage.push(keys, item)
    redis.call(newest_first and 'LPUSH' or 'RPUSH', key_of(keys), item)
  end

  function storage.set(keys, rank, item)
    redis.call('LSET', key_of(keys), index(rank), item)
  end

  function storage.insert(keys, rank, item)
    local key = key_of(keys)
    if rank == 0 then
      redis.call(newest_first and 'RPUSH' or 'LPUSH', key, item)
      return
    end
    local follower = redis.call('LINDEX', key, index(rank))
    redis.call('LSET', key, index(rank), PLACEHOLDER)
    redis.call('LINSERT', key, newest_first and 'AFTER' or 'BEFORE', PLACEHOLDER, item)
    redis.call('LSET', key, index(rank + 1), follower)
  end

  function storage.remove(keys, rank)
    local key = key_of(keys)
    redis.call('LSET', key, index(rank), PLACEHOLDER)
    -- Sought from the end that is nearer: else to remove a long list's items one by one takes the square of its length.
    local is_in_older_half = 2 * rank < redis.call('LLEN', key)
    redis.call('LREM', key, is_in_older_half == (newest_first or false) and -1 or 1, PLACEHOLDER)
  end

  function storage.clear(keys)
    redis.call('DEL', key_of(keys))
  end

  return storage
end
