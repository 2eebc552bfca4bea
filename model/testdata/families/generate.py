"""Makes the references of this folder: tiny models with weights from a counter, run by transformers in float32.

    python3 -m venv venv && venv/bin/pip install torch transformers numpy
    venv/bin/python generate.py [NAME...]

Each NAME.json has the metadata and the shapes of the tensors of a GGUF file as llama.cpp's converter would name them, tokens,
and the logits. The weights are not in it: value i of a tensor is a function of its name and i, see weights() here and in
../../families_test.go.
"""
import json, math, sys
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
VOCAB, DIM, FFN, HEADS, KV, HEAD = 96, 64, 96, 4, 2, 16
TOKENS = [(i * i * 7 + 13 * i + 5) % VOCAB for i in range(40)]


def uniform(name, n):
    """n values in [-1, 1) of 24 bits: SplitMix64 (Steele et al. 2014) with the FNV-1a hash of the name as seed."""
    seed = 0xCBF29CE484222325
    for b in name.encode():
        seed = (seed ^ b) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float64) / 2**23 - 1).astype(np.float32)


def weights(name, shape):
    """Values of a tensor (rows, cols): norms and scales around 1, the others of a size that keeps activations near 1."""
    u = uniform(name, math.prod(shape))
    if "norm" in name or "scale" in name:
        u = np.float32(1) + np.float32(0.25) * u
    elif len(shape) == 1:
        u = np.float32(0.25) * u
    else:
        u = np.float32(round(1024 * math.sqrt(3 / shape[-1])) / 1024) * u
    return u.reshape(shape)


def unpermute(w, heads):
    """The converter interleaves the halves of each head of queries and keys for the order NORM; this undoes it."""
    return w.reshape(heads, w.shape[0] // heads // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


class Model:
    def __init__(self, arch, config, keys):
        self.arch, self.config = arch, config
        torch.manual_seed(0)
        self.hf = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
        self.params = dict(self.hf.named_parameters()) | dict(self.hf.named_buffers())
        self.left = {n for n, _ in self.hf.named_parameters()}
        self.metadata = {"general.architecture": arch} | {f"{arch}.{k}": v for k, v in keys.items()}
        self.tensors = {}

    def given(self, name, values):
        """A tensor of given values, which go into the file."""
        self.tensors[name] = {"dims": list(values.shape)[::-1], "values": [float(v) for v in values.ravel()]}

    def tensor(self, name, hf, change=lambda w: w, alike=False):
        """Gives the parameter hf the weights of the tensor name, by way of what undoes the converter's change."""
        p = self.params[hf]
        shape = tuple(p.shape)
        self.tensors[name] = {"dims": list(shape)[::-1]}
        w = change(weights(name, shape))
        with torch.no_grad():
            p.copy_(torch.from_numpy(np.ascontiguousarray(w)))
        self.left.discard(hf)

    def common(self, layers, norm=lambda w: w, interleaved=False, tied=True, prefix="model", wide=False):
        self.tensor("token_embd.weight", f"{prefix}.embed_tokens.weight")
        self.tensor("output_norm.weight", f"{prefix}.norm.weight", norm)
        self.left.discard("lm_head.weight") if tied else self.tensor("output.weight", "lm_head.weight")
        names = {
            "attn_norm": "input_layernorm", "post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
            "post_ffw_norm": "post_feedforward_layernorm", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
            "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
            "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "attn_qkv": "self_attn.qkv_proj",
        }
        for i in range(layers):
            p, own = f"{prefix}.layers.{i}.", dict(names)
            if p + "pre_feedforward_layernorm.weight" not in self.params and p + "post_feedforward_layernorm.weight" not in self.params:
                own["ffn_norm"] = own.pop("post_attention_norm")
            if p + "mlp.gate_up_proj.weight" in self.params:
                own["ffn_up"] = "mlp.gate_up_proj"
            for gguf, hf in own.items():
                for kind in ("weight", "bias"):
                    if p + f"{hf}.{kind}" not in self.params:
                        continue
                    change = norm if "norm" in gguf else lambda w: w
                    if interleaved and gguf in ("attn_q", "attn_k"):
                        change = lambda w, h=HEADS if gguf == "attn_q" else KV: unpermute(w, h)
                    self.tensor(f"blk.{i}.{gguf}.{kind}", p + f"{hf}.{kind}", change)

    def write(self, name, swap=None):
        if self.left:
            raise SystemExit(f"{name}: parameters without weights: {sorted(self.left)}")
        with torch.no_grad():
            logits = self.hf(torch.tensor([TOKENS])).logits[0].double().numpy()
        positions = list(range(0, len(TOKENS), 3))
        out = {
            "reference": f"transformers {transformers.__version__}, torch {torch.__version__}, float32",
            "metadata": {k: v for k, v in self.metadata.items()},
            "tensors": self.tensors, "tokens": TOKENS, "positions": positions,
            "rows": [[float(f"{v:.6g}") for v in logits[p]] for p in positions],
        }
        text = json.dumps(out, separators=(",", ":"))
        (HERE / f"{name}.json").write_text(text + "\n")
        print(name, len(text), "bytes; logits up to", np.abs(logits).max(), "spread", logits.std())


def keys(layers, context=256, **more):
    k = {
        "context_length": context, "embedding_length": DIM, "block_count": layers, "feed_forward_length": FFN,
        "attention.head_count": HEADS, "attention.head_count_kv": KV, "attention.key_length": HEAD, "attention.value_length": HEAD,
        "attention.layer_norm_rms_epsilon": 1e-6, "rope.freq_base": 10000.0,
    }
    return k | {n.replace("__", "."): v for n, v in more.items()}


def shape(layers, context=256, **more):
    return dict(
        vocab_size=VOCAB, hidden_size=DIM, intermediate_size=FFN, num_hidden_layers=layers, num_attention_heads=HEADS,
        num_key_value_heads=KV, head_dim=HEAD, max_position_embeddings=context, rms_norm_eps=1e-6, pad_token_id=0, bos_token_id=1,
        eos_token_id=2,
    ) | more


def rope(**more):
    return dict(rope_theta=10000.0) | more


def llama_linear():
    m = Model("llama", transformers.LlamaConfig(**shape(3), rope_parameters=rope(rope_type="linear", factor=4.0), attention_bias=True,
              mlp_bias=True, tie_word_embeddings=False), keys(3) | {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0})
    m.common(3, interleaved=True, tied=False)
    return m


def llama_yarn():
    m = Model("llama", transformers.LlamaConfig(**shape(3), tie_word_embeddings=True,
              rope_parameters=rope(rope_type="yarn", factor=8.0, original_max_position_embeddings=32)),
              keys(3) | {"rope.scaling.type": "yarn", "rope.scaling.factor": 8.0, "rope.scaling.original_context_length": 32})
    m.common(3, interleaved=True)
    return m


def mistral3():
    from transformers import Ministral3Config
    m = Model("mistral3", Ministral3Config(**shape(3), tie_word_embeddings=True, sliding_window=None,
              rope_parameters=rope(rope_type="yarn", factor=8.0, original_max_position_embeddings=16, mscale=1.0, mscale_all_dim=1.0,
                                   llama_4_scaling_beta=0.1, beta_fast=32.0, beta_slow=1.0)),
              keys(3) | {"rope.scaling.type": "yarn", "rope.scaling.factor": 8.0, "rope.scaling.original_context_length": 16,
                         "rope.scaling.yarn_log_multiplier": 1.0, "attention.temperature_scale": 0.1})
    m.common(3, interleaved=True)
    return m


def phi3_long():
    short, long = [1.0 + 0.05 * i for i in range(6)], [1.5 + 0.5 * i for i in range(6)]
    m = Model("phi3", transformers.Phi3Config(**{k: v for k, v in shape(3).items() if k != "head_dim"}, sliding_window=None,
              tie_word_embeddings=False, original_max_position_embeddings=32, partial_rotary_factor=0.75,
              rope_parameters=rope(rope_type="longrope", short_factor=short, long_factor=long, partial_rotary_factor=0.75,
                                   original_max_position_embeddings=32, factor=8.0)),
              {k: v for k, v in keys(3).items() if not k.endswith("y_length") and not k.endswith("value_length")} |
              {"rope.dimension_count": 12, "rope.scaling.original_context_length": 32,
               "rope.scaling.attn_factor": math.sqrt(1 + math.log(256 / 32) / math.log(32)), "rope.scaling.type": "longrope"})
    m.common(3, tied=False)
    m.given("rope_factors_short.weight", np.array(short, np.float32))
    m.given("rope_factors_long.weight", np.array(long, np.float32))
    return m


def gemma():
    m = Model("gemma", transformers.GemmaConfig(**shape(3), hidden_activation="gelu_pytorch_tanh", rope_parameters=rope()), keys(3))
    m.common(3, norm=lambda w: w - np.float32(1))
    return m


def gemma2():
    m = Model("gemma2", transformers.Gemma2Config(**shape(4), query_pre_attn_scalar=HEAD, sliding_window=9, attn_logit_softcapping=2.0,
              final_logit_softcapping=5.0, rope_parameters=rope()),
              keys(4) | {"attention.sliding_window": 9, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 5.0})
    m.common(4, norm=lambda w: w - np.float32(1))
    return m


def gemma4():
    types = [f"{t}_attention" for t in ("sliding", "sliding", "full", "sliding", "full", "sliding", "full")]
    layers = len(types)
    wide, narrow, per = 32, HEAD, 8
    c = transformers.Gemma4TextConfig(**shape(layers), global_head_dim=wide, layer_types=types, sliding_window=9, num_kv_shared_layers=2,
        hidden_size_per_layer_input=per, vocab_size_per_layer_input=VOCAB, final_logit_softcapping=5.0, use_double_wide_mlp=True,
        hidden_activation="gelu_pytorch_tanh", tie_word_embeddings=True,
        rope_parameters={"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                         "full_attention": {"rope_type": "proportional", "rope_theta": 1000000.0, "partial_rotary_factor": 0.25}})
    m = Model("gemma4", c, keys(layers, rope__freq_base=1e6) | {
        "attention.key_length": wide, "attention.value_length": wide, "attention.key_length_swa": narrow, "attention.value_length_swa": narrow,
        "rope.dimension_count": wide, "rope.dimension_count_swa": narrow, "rope.freq_base_swa": 10000.0, "attention.sliding_window": 9,
        "attention.sliding_window_pattern": [t == "sliding_attention" for t in types], "attention.shared_kv_layers": 2,
        "embedding_length_per_layer_input": per, "final_logit_softcapping": 5.0,
        "feed_forward_length": [FFN] * 5 + [2 * FFN] * 2})
    m.common(layers)
    m.tensor("per_layer_token_embd.weight", "model.embed_tokens_per_layer.weight")
    m.tensor("per_layer_model_proj.weight", "model.per_layer_model_projection.weight")
    m.tensor("per_layer_proj_norm.weight", "model.per_layer_projection_norm.weight")
    for i in range(layers):
        p = f"model.layers.{i}."
        m.tensor(f"blk.{i}.inp_gate.weight", p + "per_layer_input_gate.weight")
        m.tensor(f"blk.{i}.proj.weight", p + "per_layer_projection.weight")
        m.tensor(f"blk.{i}.post_norm.weight", p + "post_per_layer_input_norm.weight")
        m.tensor(f"blk.{i}.layer_output_scale.weight", p + "layer_scalar")
    rotated = int(0.25 * wide / 2)
    m.given("rope_freqs.weight", np.array([1.0] * rotated + [1e30] * (wide // 2 - rotated), np.float32))
    return m


def olmo2():
    m = Model("olmo2", transformers.Olmo2Config(**{k: v for k, v in shape(3).items() if k != "head_dim"}, rope_parameters=rope(),
              tie_word_embeddings=False), keys(3))
    m.common(3, tied=False)
    return m


def olmo3():
    types = ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]
    m = Model("olmo2", transformers.Olmo3Config(**{k: v for k, v in shape(4).items() if k != "head_dim"}, layer_types=types,
              sliding_window=9, tie_word_embeddings=False,
              rope_parameters={"sliding_attention": rope(rope_type="default"),
                               "full_attention": rope(rope_type="yarn", factor=8.0, original_max_position_embeddings=32)}),
              keys(4) | {"attention.sliding_window": 9, "attention.sliding_window_pattern": [t[0] == "s" for t in types],
                         "rope.scaling.type": "yarn", "rope.scaling.factor": 8.0, "rope.scaling.original_context_length": 32})
    m.common(4, tied=False)
    return m


def exaone4():
    types = ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]
    m = Model("exaone4", transformers.Exaone4Config(**shape(4), layer_types=types, sliding_window=9, sliding_window_pattern="LLLG",
              rope_parameters=rope(), tie_word_embeddings=True), keys(4) | {"attention.sliding_window": 9})
    m.common(4)
    return m


def granitemoe():
    from transformers import GraniteMoeSharedConfig
    c = GraniteMoeSharedConfig(**{k: v for k, v in shape(3).items() if k != "head_dim"}, num_local_experts=6, num_experts_per_tok=2,
        shared_intermediate_size=64, embedding_multiplier=3.0, residual_multiplier=0.5, logits_scaling=2.0, attention_multiplier=0.2,
        tie_word_embeddings=True, rope_parameters=rope())
    m = Model("granitemoe", c, keys(3) | {"expert_count": 6, "expert_used_count": 2, "expert_shared_feed_forward_length": 64,
              "embedding_scale": 3.0, "residual_scale": 0.5, "logit_scale": 2.0, "attention.scale": 0.2})
    m.common(3, interleaved=True)
    for i in range(3):
        p, q = f"blk.{i}.", f"model.layers.{i}."
        halves(m, q + "block_sparse_moe.experts.gate_up_proj", p + "ffn_gate_exps.weight", p + "ffn_up_exps.weight")
        halves(m, q + "shared_mlp.input_linear.weight", p + "ffn_gate_shexp.weight", p + "ffn_up_shexp.weight")
        m.tensor(p + "ffn_down_exps.weight", q + "block_sparse_moe.experts.down_proj")
        m.tensor(p + "ffn_down_shexp.weight", q + "shared_mlp.output_linear.weight")
        m.tensor(p + "ffn_gate_inp.weight", q + "block_sparse_moe.router.weight")
    return m


def halves(m, hf, gate, up):
    """Two tensors that one parameter holds, one behind the other in the dimension before the last."""
    p = m.params[hf]
    shape = list(p.shape)
    shape[-2] //= 2
    both = [weights(n, tuple(shape)) for n in (gate, up)]
    for n in (gate, up):
        m.tensors[n] = {"dims": shape[::-1]}
    with torch.no_grad():
        p.copy_(torch.from_numpy(np.concatenate(both, axis=-2)))
    m.left.discard(hf)


ALL = dict(llama_linear=llama_linear, llama_yarn=llama_yarn, mistral3=mistral3, phi3_long=phi3_long, gemma=gemma, gemma2=gemma2,
           gemma4=gemma4, olmo2=olmo2, olmo3=olmo3, exaone4=exaone4, granitemoe=granitemoe)

if __name__ == "__main__":
    for name in sys.argv[1:] or ALL:
        ALL[name]().write(name)
