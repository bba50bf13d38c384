"""Messages of every kind that LlamaIndex has."""

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

MESSAGES = {
    **{role.value: ChatMessage("Hello", role=role) for role in MessageRole},
    "no content": ChatMessage(role="assistant"),
    "an empty text": ChatMessage("", role="user"),
    "two texts": ChatMessage(role="user", blocks=[TextBlock(text="One"), TextBlock(text="Two")]),
    "a call": ChatMessage(
        role="assistant",
        blocks=[
            TextBlock(text="I look."),
            ToolCallBlock(tool_call_id="c1", tool_name="find", tool_kwargs={"b": 1, "a": 2.5}),
        ],
    ),
    "what it gave": ChatMessage("left at nine", role="tool", additional_kwargs={"tool_call_id": "c1", "name": "find"}),
    "calls of an older kind": ChatMessage(
        None,
        role="assistant",
        additional_kwargs={
            "tool_calls": [{"id": "c1", "function": {"name": "find", "arguments": "{}"}, "type": "function"}]
        },
    ),
    "a picture": ChatMessage(role="user", blocks=[ImageBlock(image=b"\x89PNG\r\n\x1a\n", image_mimetype="image/png")]),
    "a picture elsewhere": ChatMessage(role="user", blocks=[TextBlock(text="?"), ImageBlock(url="https://a/b.png")]),
    "a sound": ChatMessage(role="user", blocks=[AudioBlock(audio=b"RIFF", format="wav")]),
    "a film": ChatMessage(role="user", blocks=[VideoBlock(url="https://a/b.mp4")]),
    "a file": ChatMessage(
        role="user", blocks=[DocumentBlock(data=b"%PDF-1.7", title="Tea", document_mimetype="application/pdf")]
    ),
    "thoughts": ChatMessage(
        role="assistant", blocks=[ThinkingBlock(content="Tea?", num_tokens=3), TextBlock(text="Tea.")]
    ),
    "citations": ChatMessage(
        role="assistant",
        blocks=[
            CitableBlock(title="Tea", source="a", content=[TextBlock(text="steamed")]),
            CitationBlock(
                cited_content=TextBlock(text="steamed"), source="a", title="Tea", additional_location_info={"p": "1"}
            ),
        ],
    ),
    "a point of a cache": ChatMessage(
        role="user", blocks=[TextBlock(text="x"), CachePoint(cache_control={"type": "ephemeral"})]
    ),
    "every script": ChatMessage(
        'Žlutý 馬 🐎 \u0000 \u2028 "quoted"', role="user", additional_kwargs={"json": "x", "content": 1}
    ),
}


def texts(messages):
    """The messages as JSON: equal only where everything in them is."""
    return [message.model_dump_json() for message in messages]
