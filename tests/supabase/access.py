"""Who may do what in the database, cell by cell; the tests of `test_access_matrix.py` try each of them.

The columns are who asks: `nobody` has the publishable key alone, `owner` a user's token and means a row of that user's,
`other` the same token and means a row of another user's, `service` has the secret key. In the cells is what comes of it: `yes`;
`none`, where there is no such row for them; `no`, where it is refused.
"""

from __future__ import annotations

ASKING = ("nobody", "owner", "other", "service")
OPERATIONS = ("select", "insert", "update", "delete")

# `select` means all columns, `update` those that users may change.
_TABLES = """
public.sessions           select  no  yes  none  yes
public.sessions           insert  no  yes  no    yes
public.sessions           update  no  yes  none  yes
public.sessions           delete  no  yes  none  yes
public.messages           select  no  yes  none  yes
public.messages           insert  no  yes  no    yes
public.messages           update  no  yes  none  yes
public.messages           delete  no  yes  none  yes
chatstore.session_states  select  no  yes  none  yes
chatstore.session_states  insert  no  yes  no    yes
chatstore.session_states  update  no  yes  none  yes
chatstore.session_states  delete  no  no   no    yes
chatstore.tombstones      select  no  yes  none  yes
chatstore.tombstones      insert  no  yes  no    yes
chatstore.tombstones      update  no  no   no    yes
chatstore.tombstones      delete  no  yes  none  yes
chatstore.copied          select  no  no   no    yes
chatstore.copied          insert  no  no   no    yes
chatstore.copied          update  no  no   no    yes
chatstore.copied          delete  no  no   no    yes
chatstore.marks           select  no  no   no    yes
chatstore.marks           insert  no  yes  no    yes
chatstore.marks           update  no  no   no    yes
chatstore.marks           delete  no  no   no    yes
chatstore.migration       select  no  no   no    yes
chatstore.migration       insert  no  no   no    yes
chatstore.migration       update  no  no   no    yes
chatstore.migration       delete  no  no   no    yes
"""

# Which columns users may change, in rows of their own; and read, where that is not what `select` says.
CHANGED_BY_USERS = {
    "public.sessions": {"title", "metadata", "updated_at", "version"},
    "public.messages": {"content", "metadata", "version"},
    "chatstore.session_states": {"last", "deleted", "cleared"},
}
READ_BY_USERS = {
    "chatstore.migration": {"journal_open"},
}

# Who may call a function: nobody, users, the service key.
_FUNCTIONS = """
public.chatstore_version()                                   no  yes  yes
public.chatstore_write(text)                                 no  yes  yes
public.chatstore_session(text)                               no  yes  yes
public.chatstore_sessions(text)                              no  yes  yes
public.chatstore_messages(text)                              no  yes  yes
public.chatstore_last_messages(text)                         no  yes  yes
public.chatstore_count_messages(text)                        no  yes  yes
public.chatstore_is_locked(text)                             no  no   yes
public.chatstore_put_columns(text)                           no  no   yes
public.chatstore_proved(text)                                no  no   yes
public.chatstore_session_ids(text)                           no  no   yes
public.chatstore_state_columns(text)                         no  no   yes
public.chatstore_count(text)                                 no  no   yes
public.chatstore_sweep(text)                                 no  no   yes
public.chatstore_held(text)                                  no  no   yes
public.chatstore_add_marks(text)                             no  no   yes
public.chatstore_clear_marks(text)                           no  no   yes
public.chatstore_clear_marks_alone(text)                     no  no   yes
public.chatstore_marks(text)                                 no  no   yes
public.chatstore_marks_of(text)                              no  no   yes
public.chatstore_backlog(text)                               no  no   yes
public.chatstore_migration(text)                             no  no   yes
public.chatstore_remember(text)                              no  no   yes
public.chatstore_forget(text)                                no  no   yes
chatstore.next_version(bigint)                               no  yes  yes
chatstore.is_visible(text,text)                              no  yes  yes
chatstore.weight(public.messages)                            no  yes  yes
chatstore.page_of_messages(text,bigint,text,integer)         no  yes  yes
chatstore.lock_state(text,text)                              no  yes  yes
chatstore.greatest_version(text)                             no  yes  yes
chatstore.open_session(jsonb)                                no  yes  yes
chatstore.close_session(jsonb,bigint)                        no  yes  yes
chatstore.end_life(chatstore.session_states)                 no  yes  yes
chatstore.create_session(jsonb)                              no  yes  yes
chatstore.update_session(jsonb)                              no  yes  yes
chatstore.delete_session(jsonb)                              no  yes  yes
chatstore.append_messages(jsonb)                             no  yes  yes
chatstore.edit_message(jsonb)                                no  yes  yes
chatstore.remove_messages(jsonb)                             no  yes  yes
chatstore.clear_messages(jsonb)                              no  yes  yes
chatstore.add_marks(jsonb)                                   no  yes  yes
chatstore.sweep_expired(integer)                             no  no   yes
"""

TABLE_CELLS = {
    (table, operation, who): cell
    for table, operation, *cells in map(str.split, _TABLES.strip().splitlines())
    for who, cell in zip(ASKING, cells, strict=True)
}
FUNCTION_CELLS = {
    (function, who): cell
    for function, *cells in map(str.split, _FUNCTIONS.strip().splitlines())
    for who, cell in zip(("nobody", "owner", "service"), cells, strict=True)
}


def column_cell(table: str, column: str, operation: str, who: str) -> str:
    """Return what comes of reading, or changing, one column."""
    if who in {"nobody", "service"}:
        return TABLE_CELLS[table, operation, who]
    granted = (
        column in CHANGED_BY_USERS.get(table, ())
        if operation == "update"
        else column in READ_BY_USERS.get(table, ()) or TABLE_CELLS[table, "select", "owner"] == "yes"
    )
    if not granted:
        return "no"
    # What is nobody's in particular is everybody's.
    return "yes" if who == "owner" or table == "chatstore.migration" else "none"
