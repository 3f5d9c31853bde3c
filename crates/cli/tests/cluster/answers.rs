//! The same answer, however it is asked for and however the model is split.

use futures::future::join_all;

use crate::kit::Bed;

const SUBJECTS: [&str; 16] = [
    "a river",
    "the moon",
    "honey",
    "a violin",
    "iron",
    "winter",
    "a library",
    "salt",
    "the number seven",
    "a bridge",
    "tea",
    "the wind",
    "a clock",
    "copper",
    "bread",
    "le café à Zürich",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_answers_are_those_of_one_shard_streamed_or_not_alone_or_among_many() {
    let (one, three) = tokio::join!(Bed::start(1), Bed::start(3));
    let prompts: Vec<String> = SUBJECTS.iter().map(|subject| format!("A short poem about {subject}:\n")).collect();
    let mut alone = Vec::new();
    for prompt in &prompts {
        alone.push(one.answer(prompt, 12).await);
    }
    one.leave().await;
    assert!(alone.windows(2).any(|pair| pair[0] != pair[1]), "the prompts tell nothing apart: {alone:?}");

    assert_eq!(three.answer(&prompts[15], 12).await, alone[15]);
    let streamed = three.stream(&prompts[15], 12).await.rest().await;
    assert_eq!((streamed.text.as_str(), streamed.finish.as_deref()), (alone[15].as_str(), Some("length")));
    assert!(streamed.done && streamed.error.is_none(), "{streamed:?}");

    let streams = prompts.iter().chain(&prompts).map(|prompt| async { three.stream(prompt, 12).await.rest().await });
    let answers = join_all(streams).await;
    assert_eq!(answers.len(), 32);
    for (index, answer) in answers.into_iter().enumerate() {
        assert!(answer.done && answer.error.is_none(), "stream {index}: {answer:?}");
        assert_eq!(answer.text, alone[index % 16], "stream {index} of 32");
    }
    three.leave().await;
}
