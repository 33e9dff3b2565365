"""What a person can choose: frozen dataclasses, checked when they are made, to and from JSON.

Networks (`networks`, `images`), data (`text`, `images`), the training loop (`training`) and decoding (`decoding`) have
one dataclass each; `settings` ties them, one dataclass a command. The defaults here are the defaults of the command
line. A model directory keeps the architecture in `config.json` and the settings in `training.json`; both come back
through `from_json` (`fields`), which trusts nothing: unknown fields, wrong types and sizes out of range are errors
that name the field.

Standard library only, so that `--help` stays fast.
"""

from seqgen.config.captioning import (
    CAPTION_SEARCH,
    CaptionerConfig,
    CaptionerModelConfig,
    CaptionerSettings,
    ClipConfig,
)
from seqgen.config.classification import (
    ClassifierConfig,
    ClassifierModelConfig,
    ClassifierSettings,
    LabelledTextConfig,
    Pool,
)
from seqgen.config.decoding import SamplingConfig, SearchConfig
from seqgen.config.fields import (
    DATA,
    MACHINE,
    MAX_LAYERS,
    MAX_SIZE,
    MODEL,
    PANELS,
    SAVING,
    TRAINING,
    Config,
    Option,
    from_json,
    in_words,
    shown,
    to_json,
)
from seqgen.config.forecasting import (
    ForecasterConfig,
    ForecasterModelConfig,
    ForecasterSettings,
    SeriesConfig,
    TransformConfig,
)
from seqgen.config.image_translation import (
    Condition,
    CycleGameConfig,
    CycleGanConfig,
    CycleGanNetworks,
    Direction,
    DomainsConfig,
    ImageNorm,
    PairConfig,
    PairedGameConfig,
    PairedSettings,
    Patch,
    Pix2PixConfig,
    Pix2PixNetworks,
    UnpairedSettings,
)
from seqgen.config.images import (
    MAX_CLASSES,
    AdversarialConfig,
    Augment,
    Channels,
    FeatureConfig,
    FeatureNetworks,
    Fit,
    GanArchitecture,
    GanBody,
    GanConfig,
    GanLoss,
    GanNetworks,
    ImageConfig,
    ImageFormat,
    LabelledConfig,
    LapGanConfig,
    LapGanGameConfig,
    LapGanNetworks,
    OnCollapse,
)
from seqgen.config.networks import (
    Activation,
    Architecture,
    Attention,
    Cell,
    Connections,
    EncoderDecoderConfig,
    Norm,
    PeepholeKind,
    Positions,
    RecurrentCell,
    RecurrentConfig,
    Seq2SeqConfig,
    Start,
    TransformerConfig,
    TransformerLayersConfig,
    TransformerSeq2SeqConfig,
)
from seqgen.config.settings import (
    FeatureSettings,
    GanSettings,
    LanguageModelSettings,
    LapGanSettings,
    Settings,
    TransformerPairsSettings,
    TransformerTextSettings,
    TranslationSettings,
    differences,
    replace,
)
from seqgen.config.text import (
    Keep,
    LossSteps,
    Order,
    ParallelConfig,
    RecurrentTextConfig,
    RunningTextConfig,
    TextConfig,
    Tokens,
)
from seqgen.config.training import (
    BUDGETS,
    LEAST_DISTANCE,
    NumberFormat,
    Precision,
    Schedule,
    TrainConfig,
    WatchConfig,
    Weights,
)
