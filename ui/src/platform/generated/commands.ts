// Made from the table of commands in crates/app by `make bindings`. Do not edit.

/**
 * An answer by its name.
 */
export type Answer = { 
/**
 * Its name.
 */
answer: string, };

/**
 * What became of an answer since it was told last.
 */
export type AnswerPiece = { "kind": "text", 
/**
 * To be put behind what there is.
 */
text: string, } | { "kind": "done", 
/**
 * What it took.
 */
summary: AnswerSummary, } | { "kind": "stopped" } | { "kind": "failed", 
/**
 * Why.
 */
problem: Problem, };

/**
 * What an answer took.
 */
export type AnswerSummary = { 
/**
 * Why it ended: `stop`, `length`, …
 */
finish: string, 
/**
 * Tokens of the question.
 */
prompt_tokens: number, 
/**
 * Tokens of the answer.
 */
tokens: number, 
/**
 * Milliseconds to the first of them.
 */
first_ms: number, 
/**
 * Milliseconds in all.
 */
total_ms: number, 
/**
 * Who took part, in the order of the route.
 */
shards: Array<ShardShare>, };

/**
 * Some of what was written down.
 */
export type Answers = { 
/**
 * The wallet.
 */
name: string, 
/**
 * What opens it.
 */
passphrase: string | null, 
/**
 * The words that `wallet_backup_question` asked for, in its order, or the last digits of a key.
 */
answers: Array<string>, };

/**
 * What to give back, to show that a backup exists.
 */
export type AskedBack = { 
/**
 * The places of words, counted from 1; none where the last eight digits of a key are asked for.
 */
places: Array<number>, };

/**
 * Starting with the login.
 */
export type Autostart = { 
/**
 * Yes, or no longer.
 */
on: boolean, };

/**
 * What is in a wallet.
 */
export type BalancesView = { 
/**
 * The chain.
 */
chain: string, 
/**
 * Its id.
 */
chain_id: number, 
/**
 * Money there is play money, and a faucet gives it.
 */
play: boolean, 
/**
 * What vouchers are made out in.
 */
usdc: Money, 
/**
 * The same money as it streams.
 */
usdcx: Money, 
/**
 * For gas.
 */
native: Money, };

/**
 * Something that is well, or is not.
 */
export type Check = { 
/**
 * Stable, for translations.
 */
code: string, 
/**
 * Whether it is well.
 */
good: boolean, 
/**
 * In words.
 */
text: string, };

/**
 * Something that the owner can agree to.
 */
export type ConsentCard = { 
/**
 * What it is about.
 */
scope: Scope, 
/**
 * The version of its text.
 */
version: string, 
/**
 * A short line.
 */
title: string, 
/**
 * What runs.
 */
runs: string, 
/**
 * What leaves the machine.
 */
leaves: string, 
/**
 * How it ends.
 */
ends: string, 
/**
 * It is agreed to.
 */
agreed: boolean, };

/**
 * Something that the owner has said.
 */
export type ConsentRecord = { 
/**
 * When.
 */
at_ms: number, 
/**
 * What about.
 */
scope: Scope, 
/**
 * The version of the text.
 */
version: string, 
/**
 * Yes, or no longer.
 */
agreed: boolean, };

/**
 * A context to reckon with.
 */
export type Context = { 
/**
 * Tokens of KV, all conversations together.
 */
tokens: number, };

/**
 * Something that was done on the chain.
 */
export type DoneView = { 
/**
 * In words.
 */
what: string, 
/**
 * By which transaction.
 */
transaction: string, 
/**
 * Where to look at it.
 */
link: string | null, };

/**
 * A model on its way.
 */
export type Download = { 
/**
 * The file that it becomes.
 */
file: string, 
/**
 * From where.
 */
url: string, 
/**
 * Bytes that are here.
 */
bytes: number, 
/**
 * Bytes in all, once that is known.
 */
total: number | null, 
/**
 * Bytes a second, lately.
 */
per_second: number, 
/**
 * How it is.
 */
state: DownloadState, 
/**
 * Why it stopped.
 */
problem: Problem | null, };

/**
 * How a download is.
 */
export type DownloadState = "running" | "checking" | "stopped" | "failed" | "done";

/**
 * The folder of models, and what is on its way into it.
 */
export type DownloadsView = { 
/**
 * The folder.
 */
folder: string, 
/**
 * Bytes free on its disk.
 */
free: number | null, 
/**
 * Models on their way.
 */
downloads: Array<Download>, };

/**
 * Flips the switch.
 */
export type Earn = { 
/**
 * To on, or to off.
 */
on: boolean, };

/**
 * What an operator has earned. What is settled, what is pending and what is an estimate are three things.
 */
export type EarningsView = { 
/**
 * Who.
 */
account: string, 
/**
 * What came to the account.
 */
settled: Money, 
/**
 * What waits to be claimed.
 */
pending: Money, 
/**
 * An estimate: what an hour would bring if what flows now flowed on.
 */
per_hour: Money, 
/**
 * What flows now, a second.
 */
per_second: Money, 
/**
 * How it stands in each coalition.
 */
seats: Array<SeatView>, 
/**
 * What sessions paid, oldest first.
 */
sessions: Array<SessionView>, 
/**
 * What reached the account, oldest first.
 */
payouts: Array<PayoutView>, };

/**
 * What electricity costs.
 */
export type Electricity = { 
/**
 * US dollars for a kilowatt-hour, as a decimal number; forecasts are not net of it where it is not known.
 */
usd_per_kwh: string | null, };

/**
 * A request.
 */
export type Entry = { 
/**
 * When it came.
 */
at_ms: number, 
/**
 * With which key.
 */
key: string, 
/**
 * Which path.
 */
path: string, 
/**
 * Which model.
 */
model: string | null, 
/**
 * The HTTP status of its answer.
 */
status: number, 
/**
 * Tokens of question and answer, where that was told; pieces of the answer otherwise.
 */
tokens: number, 
/**
 * Milliseconds to the end of the answer.
 */
took_ms: number, 
/**
 * Why it failed.
 */
problem: string | null, };

/**
 * US dollars an hour. A USDC counts as a dollar.
 */
export type Estimate = { 
/**
 * What a session pays an hour for the whole model, by the network's own quote.
 */
price: number, 
/**
 * How many machines share that, this one among them.
 */
machines: number, 
/**
 * The part of the time in which somebody was answered while this was measured, from 0 to 1; nothing where that could
 * not be seen.
 */
busy: number | null, 
/**
 * What an hour of work costs in electricity; nothing where watts or their price are not known.
 */
electricity: number | null, 
/**
 * If nobody asks anything.
 */
least: number, 
/**
 * If it goes on as it was while this was measured.
 */
likely: number | null, 
/**
 * If there is work all the time.
 */
most: number, };

/**
 * A state by its looks.
 */
export type Face = "idle" | "earning" | "paused" | "attention" | "offline";

/**
 * A model to be fetched.
 */
export type Fetching = { 
/**
 * The address of its file.
 */
url: string, 
/**
 * Its SHA-256, where that is known; anything else is thrown away then.
 */
sha256: string | null, };

/**
 * How a model fits into a machine's memory.
 */
export type Fit = "comfortable" | "tight" | "shared" | "too_large";

/**
 * What was measured, and what follows from it.
 */
export type Forecast = { 
/**
 * The model that was measured.
 */
model: string, 
/**
 * What computed.
 */
device: string, 
/**
 * Measurements.
 */
rounds: number, 
/**
 * Tokens a second of the whole model here: the middle of all measurements.
 */
tokens_per_second: number, 
/**
 * The slowest of them.
 */
slowest: number, 
/**
 * The fastest of them.
 */
fastest: number, 
/**
 * Watts that the GPUs drew meanwhile beyond what they drew before; nothing where the machine does not tell.
 */
watts: number | null, 
/**
 * What it might bring; nothing where no network sells answers.
 */
money: Estimate | null, };

/**
 * An agreement.
 */
export type Given = { 
/**
 * To what.
 */
scope: Scope, 
/**
 * To which version of the text: the one that was shown.
 */
version: string, };

/**
 * A GPU.
 */
export type Gpu = { 
/**
 * Stays the same.
 */
id: string, 
/**
 * What its maker calls it.
 */
name: string, 
/**
 * How busy it is, in percent.
 */
utilisation: number | null, 
/**
 * Bytes of memory.
 */
memory_total: number | null, 
/**
 * Bytes of it in use.
 */
memory_used: number | null, 
/**
 * Degrees Celsius.
 */
temperature_c: number | null, 
/**
 * Percent.
 */
fan: number | null, 
/**
 * Watts.
 */
watts: number | null, 
/**
 * The most it may draw.
 */
watts_limit: number | null, 
/**
 * Bytes of memory that other programs use.
 */
others_memory: number | null, };

/**
 * Something that happened. The page asks again for what it shows of it.
 */
export type HostEvent = { "kind": "status", 
/**
 * To this.
 */
status: Status, } | { "kind": "settings" } | { "kind": "consents" } | { "kind": "wallets" } | { "kind": "money" } | { "kind": "requests" } | { "kind": "models" } | { "kind": "measuring", 
/**
 * How much of it is done, from 0 to 1.
 */
part: number, } | { "kind": "answer", 
/**
 * The name that the page gave it.
 */
answer: string, 
/**
 * What there is of it.
 */
piece: AnswerPiece, } | { "kind": "notice", 
/**
 * What.
 */
notice: Notice, };

/**
 * What carries the application.
 */
export type HostView = { 
/**
 * `desktop` or `headless`.
 */
kind: string, 
/**
 * Whether there is a tray; nothing where there could be none.
 */
tray: boolean | null, 
/**
 * Whether it starts when its owner logs in; nothing where it cannot.
 */
autostart: boolean | null, };

/**
 * A wallet to be brought in.
 */
export type Importing = { 
/**
 * Its name here.
 */
name: string, 
/**
 * Where it is kept from now on.
 */
place: Place, 
/**
 * Its passphrase, where it is kept in a file.
 */
passphrase: string | null, 
/**
 * What opens the file that is chosen, where that is a keystore.
 */
file_passphrase: string | null, };

/**
 * What an owner wants.
 */
export type Intent = "use" | "share" | "both";

/**
 * An invite.
 */
export type InviteLink = { 
/**
 * Its link: `computepool://join/…`
 */
link: string, };

/**
 * What to do with an invite.
 */
export type Invited = { 
/**
 * Serve in that network from now on, in place of any other.
 */
join: boolean, };

/**
 * A conversation to be kept.
 */
export type Keep = { 
/**
 * It.
 */
thread: Thread, };

/**
 * A key by its name.
 */
export type KeyName = { 
/**
 * Its name.
 */
name: string, };

/**
 * A key. What it is was told once, when it was made.
 */
export type KeyView = { 
/**
 * What its owner calls it.
 */
name: string, 
/**
 * When it was made.
 */
created_ms: number, 
/**
 * Requests a minute, at most.
 */
per_minute: number | null, 
/**
 * Tokens in any 24 hours, at most.
 */
tokens_a_day: number | null, 
/**
 * Tokens in the last 24 hours, since the application was started.
 */
used: number, };

/**
 * How somebody leaves.
 */
export type Leaving = { 
/**
 * Throws the key of the wallet away that was paid: only where a backup of it was shown to exist, and nothing of it is
 * left on the chain.
 */
forget_wallet: boolean, 
/**
 * Deletes what is kept on this machine beside wallets.
 */
delete_data: boolean, };

/**
 * A spend limit.
 */
export type LimitView = { 
/**
 * What for.
 */
purpose: string, 
/**
 * The most at once.
 */
each: Money, 
/**
 * The most in a day.
 */
day: Money, };

/**
 * Something that was done, or was not.
 */
export type Line = { 
/**
 * `handed_over`, `session_closed`, `claimed`, `left_coalition`, `unwrapped`, `consents_revoked`, `wallet_forgotten` or
 * `data_deleted`.
 */
step: string, 
/**
 * In words.
 */
text: string, 
/**
 * Why it was not done.
 */
problem: Problem | null, };

/**
 * A path between two machines.
 */
export type LinkView = { 
/**
 * To whom.
 */
to: string, 
/**
 * Microseconds there and back.
 */
rtt_us: number, 
/**
 * `lan`, `direct` or `relayed`.
 */
kind: string, };

/**
 * What the application looks like.
 */
export type Look = { 
/**
 * Light, dark, or as the system has it.
 */
theme: Theme, 
/**
 * A language by its BCP 47 tag; the system's where none is named.
 */
language: string | null, 
/**
 * Keeps what was earned out of the tray.
 */
hide_earnings: boolean, 
/**
 * Shows all settings.
 */
advanced: boolean, 
/**
 * The owner was told that closing the window does not end the application.
 */
told_of_tray: boolean, };

/**
 * What the machine says.
 */
export type Machine = { 
/**
 * Seconds since the last input.
 */
idle_s: number | null, 
/**
 * An application that covers a screen.
 */
fullscreen: string | null, 
/**
 * It runs on its battery.
 */
on_battery: boolean | null, 
/**
 * How full the battery is.
 */
battery_percent: number | null, 
/**
 * The connection costs by the byte.
 */
metered: boolean | null, 
/**
 * The GPUs.
 */
gpus: Array<Gpu>, 
/**
 * What cannot be told here.
 */
cannot_tell: Array<Unknown>, };

/**
 * A key that was made.
 */
export type MadeKey = { 
/**
 * It; it is told this once.
 */
key: string, };

/**
 * How long to measure.
 */
export type Measuring = { 
/**
 * Seconds, up to a minute.
 */
seconds: number, };

/**
 * A message.
 */
export type Message = { 
/**
 * Whose.
 */
role: Role, 
/**
 * Its text.
 */
content: string, };

/**
 * A model by its file's name.
 */
export type ModelFileName = { 
/**
 * Its name.
 */
file: string, };

/**
 * A model on the disk.
 */
export type ModelView = { 
/**
 * Its name.
 */
id: string, 
/**
 * Its content's hash.
 */
hash: string, 
/**
 * Its architecture.
 */
architecture: string, 
/**
 * Its blocks.
 */
layers: number, 
/**
 * The longest conversation that it was made for, in tokens.
 */
context: number, 
/**
 * Where it lies.
 */
path: string, 
/**
 * Bytes of its weights.
 */
weights: number, 
/**
 * Bytes of KV for the context that was asked about.
 */
kv: number, 
/**
 * Bytes beside these.
 */
reserve: number, 
/**
 * Bytes that this machine could offer: a GPU's memory less the owner's reserve, or half of its own.
 */
memory: number, 
/**
 * How it fits.
 */
fit: Fit, 
/**
 * With how many machines like this one it would fit.
 */
machines: number, };

/**
 * A sum of money.
 */
export type Money = { 
/**
 * A decimal number, to the last unit.
 */
amount: string, 
/**
 * Of what: `USDC`, `USDCx`, or `native`.
 */
asset: string, };

/**
 * A wallet by its name.
 */
export type Named = { 
/**
 * Its name.
 */
name: string, };

/**
 * A network as its orchestrator knows it.
 */
export type NetworkView = { 
/**
 * How each model is served.
 */
pools: Array<PoolView>, 
/**
 * The machines.
 */
nodes: Array<PeerView>, 
/**
 * Answers under way.
 */
generations: number, 
/**
 * Answers that went on elsewhere after a loss.
 */
failovers: number, 
/**
 * Answers that were handed over because a machine left.
 */
handovers: number, };

/**
 * A key to be made.
 */
export type NewKey = { 
/**
 * What to call it.
 */
name: string, 
/**
 * Requests a minute, at most.
 */
per_minute: number | null, 
/**
 * Tokens in any 24 hours, at most.
 */
tokens_a_day: number | null, };

/**
 * A spend limit to be set.
 */
export type NewLimit = { 
/**
 * The wallet.
 */
name: string, 
/**
 * What for: `voucher`, `transfer`, `stake`, …
 */
purpose: string, 
/**
 * Of what: `USDC`, `USDCx` or `native`.
 */
asset: string, 
/**
 * The most at once, as a decimal number.
 */
each: string, 
/**
 * The most in a day, and in an hour of it.
 */
day: string, };

/**
 * All settings.
 */
export type NewSettings = { 
/**
 * To hold from now on.
 */
settings: Settings, };

/**
 * A wallet to be made.
 */
export type NewWallet = { 
/**
 * Its name: letters, digits, `-` and `_`.
 */
name: string, 
/**
 * Where it is kept.
 */
place: Place, 
/**
 * Its passphrase, where it is kept in a file.
 */
passphrase: string | null, };

/**
 * Quieter hours.
 */
export type Night = { 
/**
 * Minutes since midnight.
 */
from: number, 
/**
 * Minutes since midnight.
 */
to: number, 
/**
 * The fastest that a fan may turn in them, in percent.
 */
max_fan_percent: number | null, 
/**
 * The most that a GPU may draw in them, in watts.
 */
max_watts: number | null, };

/**
 * The node.
 */
export type NodeView = { 
/**
 * How far it is.
 */
phase: SharingPhase, 
/**
 * Its peer id.
 */
id: string | null, 
/**
 * Its engine's process.
 */
engine_pid: number | null, 
/**
 * Bytes of memory that its engine takes.
 */
engine_bytes: number, 
/**
 * Engines that were lost since it was started.
 */
engine_losses: number, 
/**
 * Why it is not there.
 */
problem: Problem | null, };

/**
 * No arguments.
 */
export type Nothing = Record<symbol, never>;

/**
 * Something that the owner is told once.
 */
export type Notice = { 
/**
 * Stable, for translations.
 */
code: string, 
/**
 * A short line.
 */
title: string, 
/**
 * A sentence.
 */
text: string, };

/**
 * What can be asked.
 */
export type Offer = { 
/**
 * Where it is asked.
 */
endpoint: string, 
/**
 * The models.
 */
models: Array<OfferedModel>, 
/**
 * Strangers pay there.
 */
paid: boolean, 
/**
 * What a session costs an hour, where strangers pay.
 */
per_hour: Money | null, 
/**
 * What a session is opened with; what is not used comes back.
 */
session: Money | null, };

/**
 * A model that can be asked.
 */
export type OfferedModel = { 
/**
 * Its name.
 */
id: string, 
/**
 * It answers now.
 */
available: boolean, 
/**
 * The longest conversation, in tokens.
 */
context: number | null, };

/**
 * A wallet by its name, and what opens it where that is asked for.
 */
export type Opening = { 
/**
 * Its name.
 */
name: string, 
/**
 * The passphrase of a wallet that is kept in a file.
 */
passphrase: string | null, };

/**
 * A session that was paid for.
 */
export type PaidView = { 
/**
 * Its account.
 */
session: string, 
/**
 * What was paid for.
 */
resource: string, 
/**
 * How much was paid in.
 */
paid: Money, 
/**
 * `nothing`, `unopened`, `open`, `stopped`, `closed`.
 */
standing: string, 
/**
 * What was paid out.
 */
spent: Money | null, 
/**
 * What came back.
 */
refund: Money | null, 
/**
 * Something of it can be had now.
 */
due: boolean, };

/**
 * A pause that the owner asked for.
 */
export type Pause = { 
/**
 * Unix milliseconds when it ends by itself; a pause without an end is ended by the owner alone.
 */
until_ms: number | null, 
/**
 * What runs may finish first.
 */
finish: boolean, };

/**
 * A pause to begin now.
 */
export type PauseFor = { 
/**
 * For how long.
 */
length: PauseLength, 
/**
 * Lets what runs finish first.
 */
finish: boolean, };

/**
 * How long a pause is.
 */
export type PauseLength = { "kind": "minutes", 
/**
 * Up to a week of them.
 */
minutes: number, } | { "kind": "tomorrow" } | { "kind": "until_resumed" };

/**
 * Money that reached the account.
 */
export type PayoutView = { 
/**
 * `paid`, `collected` or `staked`.
 */
kind: string, 
/**
 * When.
 */
at_ms: number, 
/**
 * How much.
 */
amount: Money, 
/**
 * By which transaction.
 */
transaction: string, 
/**
 * Where to look at it.
 */
link: string | null, };

/**
 * A machine of the network.
 */
export type PeerView = { 
/**
 * Its peer id.
 */
id: string, 
/**
 * What its owner calls it.
 */
name: string, 
/**
 * It is this one.
 */
mine: boolean, 
/**
 * `idle`, `loading`, `ready`, `down` or `draining`.
 */
phase: string, 
/**
 * Why.
 */
reason: string, 
/**
 * Bytes of weights that it holds.
 */
weight_bytes: number | null, 
/**
 * Answers it takes part in.
 */
generations: number, 
/**
 * Paths that it has measured.
 */
links: Array<LinkView>, 
/**
 * Who is paid for it.
 */
operator: string | null, };

/**
 * Where a new wallet is kept.
 */
export type Place = "file" | "keyring";

/**
 * A place of a route.
 */
export type PlaceView = { 
/**
 * Its first block.
 */
from: number, 
/**
 * The block after its last.
 */
to: number, 
/**
 * Machines that serve it.
 */
ready: Array<string>, 
/**
 * Machines that are loading it.
 */
coming: Array<string>, };

/**
 * How a model is served.
 */
export type PoolView = { 
/**
 * Which model.
 */
model: string, 
/**
 * The places of a route, in order.
 */
places: Array<PlaceView>, 
/**
 * How many machines could be lost at any place without a gap; nothing while there is a gap.
 */
spares: number | null, 
/**
 * Microseconds from one token to the next, as it was lately.
 */
token_us: number | null, 
/**
 * The same, as it was predicted.
 */
predicted_token_us: number | null, 
/**
 * What would help it.
 */
advice: string | null, };

/**
 * A set of limits that suits what somebody does.
 */
export type Presetting = { 
/**
 * The wallet.
 */
name: string, 
/**
 * `payer` or `operator`.
 */
preset: string, };

/**
 * What sending would do: the transaction was tried on the chain as it is now.
 */
export type Preview = { 
/**
 * In words.
 */
what: string, 
/**
 * Gas, at most.
 */
fee: Money, 
/**
 * What is left of what is sent.
 */
left: Money, };

/**
 * What went wrong.
 */
export type Problem = { 
/**
 * Stable, for programs and translations.
 */
code: string, 
/**
 * What happened, for people.
 */
message: string, 
/**
 * What to do.
 */
hint: string | null, };

/**
 * The owner's own endpoint.
 */
export type ProgramsView = { 
/**
 * Where programs ask, once there is a key.
 */
address: string | null, 
/**
 * Why it is not there.
 */
problem: Problem | null, 
/**
 * The keys.
 */
keys: Array<KeyView>, };

/**
 * A text to be looked for.
 */
export type Query = { 
/**
 * Everything where it is empty.
 */
query: string, };

/**
 * A question with what came before it.
 */
export type Question = { 
/**
 * A name for the answer, under which it is told in events.
 */
answer: string, 
/**
 * The model.
 */
model: string, 
/**
 * The conversation.
 */
messages: Array<Message>, 
/**
 * How it is sampled.
 */
sampling: Sampling, };

/**
 * Why.
 */
export type Reason = { "code": "free" } | { "code": "earn_off" } | { "code": "not_agreed" } | { "code": "paused", 
/**
 * Until when, in Unix milliseconds; until the owner says so where there is no end.
 */
until_ms: number | null, } | { "code": "fullscreen", 
/**
 * Which.
 */
app: string, } | { "code": "exclusive_app", 
/**
 * Which.
 */
app: string, } | { "code": "in_use", 
/**
 * Seconds since the last input.
 */
idle_s: number, 
/**
 * Seconds that it takes.
 */
needed_s: number, } | { "code": "cannot_see_input", 
/**
 * Why not.
 */
why: string | null, } | { "code": "on_battery", 
/**
 * How full.
 */
percent: number | null, } | { "code": "too_hot", 
/**
 * Which.
 */
gpu: string, 
/**
 * How hot.
 */
celsius: number, 
/**
 * The cap.
 */
cap: number, 
/**
 * How cool it must be again.
 */
until: number, } | { "code": "too_loud", 
/**
 * Whose.
 */
gpu: string, 
/**
 * How fast.
 */
percent: number, 
/**
 * The cap.
 */
cap: number, } | { "code": "too_much_power", 
/**
 * Which.
 */
gpu: string, 
/**
 * How much.
 */
watts: number, 
/**
 * The cap.
 */
cap: number, } | { "code": "gpu_in_use", 
/**
 * Which.
 */
gpu: string, 
/**
 * Who uses it most.
 */
app: string | null, 
/**
 * How much of it others use.
 */
percent: number, } | { "code": "metered" } | { "code": "data_cap", 
/**
 * So much.
 */
carried_bytes: number, 
/**
 * Of so much.
 */
cap_bytes: number, } | { "code": "outside_schedule" };

/**
 * Something that remains.
 */
export type Remainder = { 
/**
 * `stake`, `pending` or `balance`.
 */
kind: string, 
/**
 * How much.
 */
amount: Money, 
/**
 * Of which coalition.
 */
coalition: string | null, 
/**
 * From when on it can be fetched.
 */
until_ms: number | null, };

/**
 * What came of it.
 */
export type Report = { 
/**
 * What was done, in its order.
 */
lines: Array<Line>, 
/**
 * What remains; nothing, where all is well.
 */
remains: Array<Remainder>, };

/**
 * An agreement that is taken back.
 */
export type Revoked = { 
/**
 * To what.
 */
scope: Scope, };

/**
 * Who speaks.
 */
export type Role = "system" | "user" | "assistant";

/**
 * Everything that the owner can set about when and how much the machine serves.
 */
export type Rules = { 
/**
 * Whether it serves while somebody is at the machine.
 */
when: When, 
/**
 * The only times at which it serves; any time where there is none.
 */
schedule: Array<Span>, 
/**
 * Gives the machine back while an application covers a whole screen.
 */
fullscreen: boolean, 
/**
 * Applications that want the machine for themselves: names of executables, as people write them.
 */
exclusive_apps: Array<string>, 
/**
 * Gives a GPU back when others use at least this much of it, in percent.
 */
others_gpu_percent: number | null, 
/**
 * Serves on battery too.
 */
on_battery: boolean, 
/**
 * Serves over a connection that costs by the byte too.
 */
on_metered: boolean, 
/**
 * The hottest that a GPU may get, in degrees Celsius.
 */
max_temperature_c: number | null, 
/**
 * The fastest that a fan may turn, in percent.
 */
max_fan_percent: number | null, 
/**
 * The most that a GPU may draw, in watts.
 */
max_watts: number | null, 
/**
 * Quieter hours.
 */
night: Night | null, 
/**
 * GPU memory that is always left to the owner, in MiB.
 */
memory_reserve_mb: number, 
/**
 * GPUs that never serve, by their ids.
 */
kept_gpus: Array<string>, 
/**
 * What may be carried for others in a month, both ways together, in GB.
 */
data_cap_gb: number | null, 
/**
 * The most that giving weights to others may send, in KiB a second.
 */
upload_kib_s: number | null, };

/**
 * How an answer is sampled; the endpoint's usual way where nothing is said.
 */
export type Sampling = { 
/**
 * From 0, always the likeliest, to 2.
 */
temperature: number | null, 
/**
 * Only the likeliest that make up this much together.
 */
top_p: number | null, 
/**
 * Only so many of the likeliest.
 */
top_k: number | null, 
/**
 * The longest answer, in tokens.
 */
max_tokens: number | null, 
/**
 * The same seed gives the same answer.
 */
seed: number | null, };

/**
 * Something that is done only with the owner's consent.
 */
export type Scope = "share" | "reach" | "ask" | "pay";

/**
 * A place in a coalition.
 */
export type SeatView = { 
/**
 * Which coalition.
 */
coalition: string, 
/**
 * Its part of what is paid, in percent.
 */
percent: number, 
/**
 * What is at stake.
 */
staked: Money, 
/**
 * The stake is still being built from what is earned.
 */
bonding: boolean, 
/**
 * What waits to be claimed.
 */
pending: Money, 
/**
 * What flows now, a second.
 */
per_second: Money, };

/**
 * Money to be sent.
 */
export type Sending = { 
/**
 * From which wallet.
 */
name: string, 
/**
 * Whom to: `0x` and 40 digits.
 */
to: string, 
/**
 * How much, as a decimal number.
 */
amount: string, 
/**
 * Of what: `USDC`, `USDCx` or `native`.
 */
asset: string, };

/**
 * A session by its account.
 */
export type Session = { 
/**
 * The wallet that paid.
 */
name: string, 
/**
 * Its account.
 */
session: string, };

/**
 * The session that pays for answers.
 */
export type SessionMeter = { 
/**
 * Its account on the chain.
 */
account: string, 
/**
 * How far settling is.
 */
phase: string, 
/**
 * What was paid in.
 */
paid_in: Money, 
/**
 * What is paid a second.
 */
per_second: Money, 
/**
 * Milliseconds served so far.
 */
served_ms: number, 
/**
 * What that costs.
 */
cost: Money, };

/**
 * A session that paid.
 */
export type SessionView = { 
/**
 * Its account.
 */
session: string, 
/**
 * Of which coalition.
 */
coalition: string, 
/**
 * When it was opened.
 */
opened_ms: number, 
/**
 * When it was closed.
 */
closed_ms: number | null, 
/**
 * The operator's part so far.
 */
amount: Money, };

/**
 * Everything that is set.
 */
export type Settings = { 
/**
 * Whether the machine is to serve, and for whom.
 */
sharing: Sharing, 
/**
 * When it may.
 */
rules: Rules, 
/**
 * What answers are asked of, and what they may cost.
 */
using: Using, 
/**
 * What the application looks like.
 */
look: Look, 
/**
 * What a kilowatt-hour costs its owner.
 */
electricity: Electricity, 
/**
 * How far its owner is with setting it up.
 */
setup: Setup, };

/**
 * How far its owner is with setting it up.
 */
export type Setup = { 
/**
 * The step to go on with, from 0.
 */
step: number, 
/**
 * It is done, or was skipped.
 */
done: boolean, 
/**
 * What the owner wants of it.
 */
intent: Intent | null, };

/**
 * A machine's part in an answer, by its own signed account.
 */
export type ShardShare = { 
/**
 * Its peer id.
 */
node: string, 
/**
 * Its first block.
 */
from: number, 
/**
 * The block after its last.
 */
to: number, 
/**
 * Milliseconds that it computed.
 */
compute_ms: number, 
/**
 * Milliseconds until its numbers were on their way.
 */
hop_ms: number, };

/**
 * Whether the machine is to serve, and for whom.
 */
export type Sharing = { 
/**
 * The big switch.
 */
earn: boolean, 
/**
 * A pause that the owner asked for; it outlives restarts.
 */
pause: Pause | null, 
/**
 * What others see as this machine's name.
 */
name: string, 
/**
 * The invite link of the network to serve in.
 */
invite: string | null, 
/**
 * The wallet that is paid; nobody is where there is none.
 */
wallet: string | null, 
/**
 * What a session must pay for the whole model at least, an hour, in USDC.
 */
least_per_hour: string, 
/**
 * Processor threads for the engine; all but one where none are given.
 */
threads: number | null, 
/**
 * MiB of memory that are offered; what is free, less the reserve, where nothing is given.
 */
memory_mb: number | null, 
/**
 * GB of disk for weights that others hand over.
 */
disk_gb: number | null, };

/**
 * How far a node is.
 */
export type SharingPhase = "off" | "starting" | "waiting" | "loading" | "serving" | "handing_over" | "resting" | "failed" | "unreachable";

/**
 * A time of some days of the week.
 */
export type Span = { 
/**
 * Monday first. A span that goes past midnight belongs to the day on which it begins.
 */
days: [boolean, boolean, boolean, boolean, boolean, boolean, boolean], 
/**
 * Minutes since midnight when it begins.
 */
from: number, 
/**
 * Minutes since midnight when it ends; earlier than its beginning, it ends on the next day. The same as its
 * beginning: the whole day.
 */
to: number, };

/**
 * The one state that tray, window and page show.
 */
export type Status = { 
/**
 * The shape and colour to show.
 */
face: Face, 
/**
 * One sentence, with its reason.
 */
sentence: string, 
/**
 * The reason that weighs most.
 */
reason: Reason, 
/**
 * Whatever else stands against serving.
 */
further: Array<Reason>, 
/**
 * The big switch.
 */
earn: boolean, 
/**
 * The owner's pause.
 */
pause: Pause | null, 
/**
 * The node.
 */
node: NodeView, 
/**
 * The machine.
 */
machine: Machine, 
/**
 * What should be looked at.
 */
health: Array<Check>, 
/**
 * An invite link that was opened, and that the owner has not answered yet.
 */
invited: string | null, 
/**
 * The address of this machine's own endpoint for programs, where it has one.
 */
api: string | null, 
/**
 * What was earned since midnight; nothing where that is not known, or not to be shown.
 */
earned_today: Money | null, 
/**
 * Bytes carried for others this month.
 */
carried_bytes: number, 
/**
 * The version of the application.
 */
version: string, 
/**
 * What carries it: `desktop` or `headless`.
 */
host: string, };

/**
 * Light or dark.
 */
export type Theme = "system" | "light" | "dark";

/**
 * A conversation. What is in it is the page's affair.
 */
export type Thread = { 
/**
 * Its name: letters, digits and `-`.
 */
id: string, 
/**
 * What it is about.
 */
title: string, 
/**
 * When it was changed last.
 */
updated_ms: number, 
/**
 * Its messages, as the page keeps them.
 */
body: unknown, };

/**
 * A conversation in a list.
 */
export type ThreadHead = { 
/**
 * Its name.
 */
id: string, 
/**
 * What it is about.
 */
title: string, 
/**
 * When it was changed last.
 */
updated_ms: number, 
/**
 * Where what was searched for was found.
 */
found: string | null, };

/**
 * A conversation by its name.
 */
export type ThreadId = { 
/**
 * Its name.
 */
id: string, };

/**
 * Something that cannot be told.
 */
export type Unknown = { 
/**
 * What: `input`, `lock`, `fullscreen`, `apps`, `power`, `network`, `gpus`.
 */
what: string, 
/**
 * Why.
 */
why: string, };

/**
 * What answers are asked of, and what they may cost.
 */
export type Using = { 
/**
 * The base address of an OpenAI-compatible endpoint, ending in `/v1`.
 */
endpoint: string | null, 
/**
 * The wallet that pays for answers.
 */
wallet: string | null, 
/**
 * The most that one session may cost, in USDC.
 */
most_per_session: string | null, 
/**
 * The most that a session may cost an hour, in USDC.
 */
most_per_hour: string | null, 
/**
 * The port of this machine's own endpoint for programs; the usual one where none is named.
 */
port: number | null, };

/**
 * A wallet.
 */
export type WalletView = { 
/**
 * Its name.
 */
name: string, 
/**
 * Its account.
 */
account: string, 
/**
 * Where it is kept: `file`, `keyring` or `memory`.
 */
place: string, 
/**
 * When it was made.
 */
created_ms: number, 
/**
 * When its owner showed that a backup exists.
 */
backed_up_ms: number | null, 
/**
 * It is open.
 */
open: boolean, };

/**
 * Whether a machine serves while somebody is at it.
 */
export type When = { "kind": "always" } | { "kind": "idle", 
/**
 * Minutes without a key or a move of the mouse.
 */
minutes: number, };

/**
 * Where a file was written.
 */
export type Written = { 
/**
 * The file.
 */
path: string, };

/** Everything that a page can ask of its host. */
export interface Commands {
  /** The status that tray, window and page show. */
  status: { args: Nothing; result: Status };
  /** What carries the application, and what that can do. */
  host: { args: Nothing; result: HostView };
  /** Has it start when its owner logs in, or not any more. */
  autostart_set: { args: Autostart; result: HostView };
  /** Hands everything over, and ends. */
  quit: { args: Nothing; result: Nothing };
  /** Flips Earn. */
  earn_set: { args: Earn; result: Status };
  /** Pauses sharing, for a while or until it is resumed. */
  pause: { args: PauseFor; result: Status };
  /** Ends a pause. */
  resume: { args: Nothing; result: Status };
  /** Puts an invite link where its owner can look at it; nothing is joined by that. */
  invite_offer: { args: InviteLink; result: Status };
  /** Takes or dismisses an invite link that was opened. */
  invite_answer: { args: Invited; result: Status };
  /** All settings. */
  settings_get: { args: Nothing; result: Settings };
  /** Puts these in place of all settings, or none of them. */
  settings_set: { args: NewSettings; result: Settings };
  /** What can be agreed to, and whether it is. */
  consents: { args: Nothing; result: Array<ConsentCard> };
  /** Agrees to the text that `consents` gave. */
  consent_give: { args: Given; result: Array<ConsentCard> };
  /** Takes an agreement back. */
  consent_revoke: { args: Revoked; result: Array<ConsentCard> };
  /** Everything that was ever agreed to or taken back, oldest first. */
  consent_history: { args: Nothing; result: Array<ConsentRecord> };
  /** The wallets of this machine. */
  wallets: { args: Nothing; result: Array<WalletView> };
  /** Makes a wallet with a new recovery phrase. */
  wallet_create: { args: NewWallet; result: WalletView };
  /** Brings a wallet in from a file that the host lets its owner choose: recovery words, a key, or a keystore. */
  wallet_import: { args: Importing; result: WalletView };
  /** Has the host show what brings a wallet back, outside the page. */
  wallet_show_words: { args: Opening; result: Nothing };
  /** Which of the words are to be given back. */
  wallet_backup_question: { args: Opening; result: AskedBack };
  /** Gives them back: then the wallet counts as backed up. */
  wallet_backup_answer: { args: Answers; result: WalletView };
  /** Opens a wallet until it is locked or the application ends. */
  wallet_unlock: { args: Opening; result: Array<WalletView> };
  /** Closes a wallet. */
  wallet_lock: { args: Named; result: Array<WalletView> };
  /** Throws a key away, where a backup of it was shown to exist. */
  wallet_forget: { args: Named; result: Array<WalletView> };
  /** What is in a wallet. */
  wallet_balances: { args: Named; result: BalancesView };
  /** Play money, on a devnet. */
  wallet_faucet: { args: Named; result: BalancesView };
  /** Tries what sending would do. */
  wallet_send_preview: { args: Sending; result: Preview };
  /** Sends. */
  wallet_send: { args: Sending; result: DoneView };
  /** Claims what was earned, and turns it into USDC. */
  wallet_withdraw: { args: Named; result: Array<DoneView> };
  /** What a wallet may spend. */
  wallet_limits: { args: Named; result: Array<LimitView> };
  /** Lets a wallet spend what suits a payer or an operator. */
  wallet_limits_preset: { args: Presetting; result: Array<LimitView> };
  /** Sets what a wallet may spend on one thing. */
  wallet_limit_set: { args: NewLimit; result: Array<LimitView> };
  /** Sessions that a wallet has paid for from here, and how they stand on the chain. */
  wallet_paid: { args: Named; result: Array<PaidView> };
  /** Stops such a session, or gets back what is left of it, without the seller. */
  wallet_paid_fetch: { args: Session; result: Array<DoneView> };
  /** What the machine has earned, by the chain's word. */
  earnings: { args: Nothing; result: EarningsView };
  /** Writes all of it as a table into the folder for downloads. */
  earnings_export: { args: Nothing; result: Written };
  /** Measures this machine, and says what sharing might bring; how far it is comes in events. */
  forecast: { args: Measuring; result: Forecast };
  /** Leaves: hands over, settles, withdraws, takes agreements back, and forgets what is to be forgotten. */
  leave: { args: Leaving; result: Report };
  /** Deletes what is kept here beside wallets, their books, and the record of consents. */
  data_delete: { args: Nothing; result: Nothing };
  /** The network that is asked, as its orchestrator knows it. */
  network: { args: Nothing; result: NetworkView };
  /** The models on this machine, and how they fit it. */
  models: { args: Context; result: Array<ModelView> };
  /** The folder of models, and what is on its way into it. */
  downloads: { args: Nothing; result: DownloadsView };
  /** Fetches a model, or goes on where that broke off. */
  model_fetch: { args: Fetching; result: DownloadsView };
  /** Stops fetching one; what is here of it is kept. */
  model_stop: { args: ModelFileName; result: boolean };
  /** Deletes one from the folder of models. */
  model_delete: { args: ModelFileName; result: DownloadsView };
  /** What can be asked, and what it costs. */
  offer: { args: Nothing; result: Offer };
  /** Asks. The answer comes in events. */
  chat_start: { args: Question; result: Nothing };
  /** Stops an answer; whether it was under way. */
  chat_stop: { args: Answer; result: boolean };
  /** The session that pays for answers, where one is open. */
  chat_session: { args: Nothing; result: SessionMeter | null };
  /** Ends that session: what was not used comes back. */
  chat_session_close: { args: Nothing; result: Nothing };
  /** This machine's own endpoint for programs, and their keys. */
  programs: { args: Nothing; result: ProgramsView };
  /** Makes a key for a program. It is told this once. */
  key_make: { args: NewKey; result: MadeKey };
  /** Takes a key back. */
  key_revoke: { args: KeyName; result: ProgramsView };
  /** What programs asked, without a word of it; newest first. */
  requests: { args: Nothing; result: Array<Entry> };
  /** Conversations that are kept here, newest first, or those in which a text occurs. */
  threads: { args: Query; result: Array<ThreadHead> };
  /** A conversation. */
  thread_get: { args: ThreadId; result: Thread };
  /** Keeps a conversation. */
  thread_put: { args: Keep; result: Nothing };
  /** Deletes a conversation. */
  thread_delete: { args: ThreadId; result: Nothing };
}
