"""Documents: what can be uploaded, what cannot, and what is found in it."""

from io import BytesIO

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from examples.app.embedder import make_embedder
from examples.app.reading import UnreadableError, parts_of
from tests.example_app.test_api import say


def pdf(*pages, password=None):
    """A PDF with a line of text on each page."""
    writer = PdfWriter()
    for text in pages:
        page = writer.add_blank_page(300, 300)
        font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
        font = DictionaryObject({NameObject(name): NameObject(value) for name, value in font.items()})
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content)
    if password is not None:
        writer.encrypt(password)
    file = BytesIO()
    writer.write(file)
    return file.getvalue()


async def upload(http, name, data):
    return await http.post("/api/documents", files={"file": (name, data)})


async def test_a_file_is_found_by_what_is_in_it_and_gone_when_it_is_deleted(site):
    async with site.as_user("ann") as http:
        tea = (await upload(http, "tea.pdf", pdf("Oolong is half oxidised.", "Green tea is steamed."))).json()
        order = (await upload(http, "order.txt", b"Your order left us this morning.")).json()
        assert (len(tea["ids"]), len(order["ids"])) == (2, 1)
        best, *others = (await http.get("/api/search", params={"q": "steamed tea"})).json()
        assert (best["title"], best["page"], best["text"]) == ("tea.pdf", 2, "Green tea is steamed.")
        assert all(other["score"] < best["score"] <= 1 for other in others)
        files = (await http.get("/api/documents")).json()["items"]
        assert [(file["name"], file["ids"]) for file in files] == [
            ("order.txt", order["ids"]),
            ("tea.pdf", tea["ids"]),
        ]
        assert (await http.post("/api/documents/delete", json={"ids": tea["ids"]})).json() == {"deleted": 2}
        [left] = (await http.get("/api/search", params={"q": "steamed tea"})).json()
        assert left["title"] == "order.txt"


async def test_a_file_that_is_uploaded_again_is_there_once(site):
    async with site.as_user("ann") as http:
        first, again = [(await upload(http, "tea.md", b"# Tea\n\nIt is steamed.")).json() for _ in range(2)]
        assert first["ids"] == again["ids"]
        assert len((await http.get("/api/documents")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("page.html", b"<p>Hello", "reads texts"),
        ("a.txt", b"\xff\xfe", "UTF-8"),
        ("a.md", b" \n\n ", "no text"),
        ("a.pdf", b"no PDF", "damaged"),
        ("a.pdf", pdf("Hello")[:300], "damaged"),
        ("a.pdf", pdf("Hello", password="p"), "encrypted"),
    ],
    ids=["another kind", "another encoding", "empty", "no PDF", "half a PDF", "encrypted"],
)
def test_what_cannot_be_read_is_refused_with_the_reason(name, data, why):
    with pytest.raises(UnreadableError, match=why):
        parts_of(name, data)


async def test_a_refused_file_is_a_422_and_leaves_nothing(site):
    async with site.as_user("ann") as http:
        answer = await upload(http, "page.html", b"<p>Hello")
        assert (answer.status_code, "reads texts" in answer.json()["detail"]) == (422, True)
        assert (await http.get("/api/documents")).json()["items"] == []


async def test_too_large_a_request_is_refused_whether_it_says_how_large_it_is_or_not(site, own_settings):
    async def unsaid():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        for _ in range(own_settings.upload_limit // 1000 + 1):
            yield b"x" * 1000

    async with site.as_user("ann") as http:
        assert (await upload(http, "a.txt", b"x" * (own_settings.upload_limit + 1))).status_code == 413
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        assert (await http.post("/api/documents", content=unsaid(), headers=headers)).status_code == 413
        assert (await http.post("/api/sessions", content=unsaid())).status_code == 413


def test_parts_are_short_and_together_hold_the_whole_text():
    text = "\n\n".join(f"{number} " + "A sentence of some words. " * 20 + "x" * 2000 for number in range(5))
    parts = [part.text for part in parts_of("a.txt", text.encode())]
    assert max(map(len, parts)) <= 900
    assert "".join("".join(parts).split()) == "".join(text.split())


async def test_texts_with_words_in_common_are_alike_and_others_are_not():
    tea, steam, order, none = await make_embedder("words")(
        ["Green tea is steamed.", "How does one steam tea?", "Where is my order?", "?!"]
    )

    def score(left, right):
        return sum(one * other for one, other in zip(left, right, strict=True))

    assert score(tea, steam) > 0.4
    assert abs(score(tea, order)) < 0.2
    assert none.dimension == tea.dimension == 256
    assert score(tea, tea) == pytest.approx(1)


async def test_what_another_model_embedded_is_told_and_not_taken_for_nothing(site, old_app):
    await old_app.conversation("s1", "ann", "Tea")
    await old_app.document("d1", "ann", "Tea", "Green tea is steamed.", embedding=[0.5, 0.5])
    async with site.as_user("ann") as http:
        answer = await http.get("/api/search", params={"q": "tea"})
        assert (answer.status_code, "256" in answer.json()["detail"]) == (422, True)
        *_, last = await say(http, "s1", "How is green tea made?")
        assert last == {"error": answer.json()["detail"]}
