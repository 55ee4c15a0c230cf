"""The store as LangChain sees it."""

from __future__ import annotations

from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough

from store.searching.retriever import PassageRetriever
from store.store import DocumentStore

TEXT = b"# House\n\n## Parking\n\nParking costs 15,000 won a night.\n\n## Pool\n\nThe pool opens at 7 a.m.\n"


async def test_documents_carry_span_scores_and_trust(store: DocumentStore) -> None:
    store.ingest_bytes("house.md", TEXT)
    retriever = PassageRetriever(store=store, k=1)
    (found,) = retriever.invoke("parking")
    passage = store.search("parking", k=1)[0]
    assert (found.id, found.page_content) == (passage["id"], passage["text"])
    assert found.metadata["scores"] == passage["scores"]
    assert (found.metadata["document"], found.metadata["trust"]) == ("house.md", "untrusted")
    text = store.document_text("house.md")
    assert text[found.metadata["start"] : found.metadata["end"]] == found.page_content
    assert await retriever.ainvoke("parking") == [found]
    assert PassageRetriever(store=store, filters={"document": "none.md"}).invoke("parking") == []


def test_it_stands_in_a_chain(store: DocumentStore) -> None:
    store.ingest_bytes("house.md", TEXT)
    context = PassageRetriever(store=store, k=1) | RunnableLambda(lambda found: found[0].page_content)
    prompt = ChatPromptTemplate.from_template("{context}\n{question}")
    said = ({"context": context, "question": RunnablePassthrough()} | prompt).invoke("parking").to_string()
    assert said == "Human: Parking costs 15,000 won a night.\nparking"
