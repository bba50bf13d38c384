-- Removes marks: KEYS are marks, bodies, then each mark's user's; the arguments are each mark's token and key.
for i = 3, #KEYS do
  local token = take()
  clear_mark(KEYS[1], KEYS[2], KEYS[i], take(), token)
end
