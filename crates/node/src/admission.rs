//! Opening a generation: what is asked is checked, the entry gets its prompt, the engine is told.

use std::sync::Arc;

use computepool_core::control::{GenerationPart, NodeMessage};
use computepool_core::ports::EngineCommand;
use computepool_core::{Fault, FaultCode, Generate, GenerationId, SessionId};
use tokio::sync::mpsc;

use crate::errands::Errand;
use crate::generation::Generation;
use crate::plane::Plane;
use crate::prompt::Prompt;
use crate::session::Session;

/// Opens a generation, or says why not.
pub(crate) fn open(plane: &Arc<Plane>, session: SessionId, id: GenerationId, part: GenerationPart) {
    // Whoever gives its KV away is over with that, even where the other cannot be opened.
    let adopted = part.adopt.map(|adopt| plane.hand_over(session, adopt.generation)).transpose();
    let opened = adopted.map_err(Some).and_then(|adopted| {
        let opened = admit(plane, session, id, part, adopted.clone());
        if let (Err(_), Some(adopted)) = (&opened, adopted) {
            plane.errands.push(Errand::Close(adopted));
        }
        opened
    });
    match opened {
        Ok(()) => {}
        Err(None) => {
            let what = format!("generation {id} was opened twice");
            plane.count(&Fault::new(FaultCode::ProtocolViolation, what));
        }
        Err(Some(fault)) => {
            tracing::info!(generation = %id, %fault, "a generation was refused");
            plane.count(&fault);
            plane.outbox.say(NodeMessage::GenerationFailed { generation: id, fault });
        }
    }
}

/// `Err(None)`: this id was taken before, and is answered.
fn admit(
    plane: &Arc<Plane>,
    session: SessionId,
    id: GenerationId,
    part: GenerationPart,
    adopted: Option<Arc<Generation>>,
) -> Result<(), Option<Fault>> {
    let session = plane
        .session(session)
        .filter(|session| session.is_open())
        .ok_or_else(|| Fault::new(FaultCode::WrongSession, format!("session {session} is not open on this node")))?;
    check(plane, &session, &part)?;
    let GenerationPart { max_len, prompt_len, adopt, unhurried, request } = part;
    let first = adopt.map_or(0, |adopt| adopt.positions);
    let chunk_rows = if unhurried { plane.options.unhurried_rows } else { plane.options.chunk_rows };
    let prompt = request.as_ref().filter(|_| session.is_entry()).map(|request| Prompt {
        tokens: fed(request),
        first,
        chunk_rows: chunk_rows.min(session.ticket.limits.max_rows).max(1),
    });
    let request = request.filter(|_| session.is_exit());
    // Where the ring has one place, one token at a time goes round inside it.
    let (ring, tokens) = (session.is_entry() && session.is_exit()).then(|| mpsc::channel(2)).unzip();
    let open = EngineCommand::Open { generation: id, max_len, prompt_len, adopt, request };
    let generation = Arc::new(Generation::new(session, open, id, prompt_len, max_len, ring).starting_at(first));
    plane.add_generation(generation.clone())?;
    if let Some(prompt) = prompt {
        plane.tasks.spawn(prompt.run(plane.clone(), generation.clone(), tokens));
    }
    plane.errands.push(Errand::Open(generation, adopted));
    Ok(())
}

/// What the entry feeds: the prompt, and what was produced of the answer before.
fn fed(request: &Generate) -> Vec<u32> {
    [request.prompt.as_slice(), &request.produced].concat()
}

/// Whether the session can take such a generation.
fn check(plane: &Plane, session: &Session, part: &GenerationPart) -> Result<(), Fault> {
    if plane.is_draining() {
        return Err(Fault::new(FaultCode::Draining, "this node is leaving"));
    }
    if let Some(fault) = session.broken() {
        return Err(fault);
    }
    match plane.engine.shard() {
        Some(shard) if shard.layers == session.hop().layers && shard.model == session.ticket.model => {}
        Some(_) => return Err(Fault::new(FaultCode::WrongSession, "the node serves another shard by now")),
        None => {
            return Err(Fault::new(FaultCode::EngineLost, "no shard is loaded now").retry_after_ms(1000));
        }
    }
    let (prompt_len, max_len, context) = (part.prompt_len, part.max_len, session.ticket.limits.max_context);
    if max_len > context {
        let what = format!("{max_len} positions are more than the {context} of this session");
        return Err(Fault::new(FaultCode::ContextLength, what));
    }
    let invalid = |what: String| Err(Fault::new(FaultCode::InvalidRequest, what));
    if prompt_len == 0 || prompt_len > max_len {
        return invalid(format!("a prompt of {prompt_len} does not fit {max_len} positions"));
    }
    if let Some(adopt) = part.adopt.filter(|adopt| adopt.positions >= prompt_len) {
        return invalid(format!(
            "{} of {prompt_len} positions are taken over: nothing is left to feed",
            adopt.positions
        ));
    }
    let Some(request) = &part.request else {
        let needed = session.is_entry() || session.is_exit();
        return if needed { invalid("the request itself is missing".to_owned()) } else { Ok(()) };
    };
    let (prompt, produced) = (request.prompt.len(), request.produced.len());
    if session.is_entry() && prompt + produced != prompt_len as usize {
        return invalid(format!(
            "the prompt has {prompt} tokens and {produced} were produced, {prompt_len} were announced"
        ));
    }
    if produced >= request.max_tokens as usize {
        return invalid(format!("{produced} of at most {} tokens are there already", request.max_tokens));
    }
    Ok(())
}
