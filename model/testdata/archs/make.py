"""Makes the models and logits of this folder; see README.md. Run: python3 make.py"""
import json
import math
import os

import gguf
import numpy as np
import torch
import transformers

VOCAB, CONTEXT, TOKENS = 128, 512, 40
HERE = os.path.dirname(os.path.abspath(__file__))


def fill(model):
    """Random weights that are float16 already, of a size that keeps every part of a layer in play."""
    for name, p in model.named_parameters():
        if name.endswith("A_log"):
            value = torch.log(torch.rand(p.shape) * 7 + 1)
        elif name.endswith("dt_bias"):
            value = torch.rand(p.shape) * 4 - 4
        elif "norm" in name or name.endswith(".D"):
            value = 1 + 0.2 * torch.randn(p.shape)
        elif "conv1d" in name:
            value = 0.4 * torch.randn(p.shape)
        else:
            value = torch.randn(p.shape) / math.sqrt(p.shape[-1])
        p.data = value.half().float()


def permute(w, heads):
    """Rows of a projection in the order of adjacent pairs, as llama.cpp's converter leaves them."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


class Writer(gguf.GGUFWriter):
    def matrix(self, name, w):
        self.add_tensor(name, w.detach().numpy().astype(np.float16))

    def vector(self, name, w):
        self.add_tensor(name, w.detach().numpy().astype(np.float32))

    def common(self, config, norm_epsilon):
        self.add_block_count(config.num_hidden_layers)
        self.add_context_length(CONTEXT)
        self.add_embedding_length(config.hidden_size)
        self.add_head_count(config.num_attention_heads)
        self.add_layer_norm_rms_eps(norm_epsilon)
        self.add_vocab_size(VOCAB)
        self.add_tokenizer_model("none")

    def mamba_keys(self, config, inner):
        self.add_ssm_conv_kernel(config.mamba_d_conv)
        self.add_ssm_state_size(config.mamba_d_state)
        self.add_ssm_group_count(config.mamba_n_groups)
        self.add_ssm_inner_size(inner)
        self.add_ssm_time_step_rank(config.mamba_n_heads)

    def mamba(self, prefix, m, config, inner, in_scale=1.0, out_scale=1.0):
        self.matrix(prefix + "ssm_in.weight", m.in_proj.weight * in_scale)
        self.vector(prefix + "ssm_conv1d.weight", m.conv1d.weight.squeeze())
        self.vector(prefix + "ssm_conv1d.bias", m.conv1d.bias)
        self.vector(prefix + "ssm_dt.bias", m.dt_bias)
        self.vector(prefix + "ssm_a", -torch.exp(m.A_log).reshape(-1, 1))
        self.vector(prefix + "ssm_d", m.D.reshape(-1, 1))
        if hasattr(m.norm, "weight"):
            self.vector(prefix + "ssm_norm.weight", m.norm.weight.reshape(config.mamba_n_groups, inner // config.mamba_n_groups))
        self.matrix(prefix + "ssm_out.weight", m.out_proj.weight * out_scale)

    def finish(self):
        self.write_header_to_file()
        self.write_kv_data_to_file()
        self.write_tensors_to_file()
        self.close()


def logits(model, name):
    ids = torch.randint(0, VOCAB, (1, TOKENS))
    positions = list(range(0, TOKENS, 9)) + [TOKENS - 1]
    with torch.no_grad():
        out = model(ids, use_cache=False, logits_to_keep=0).logits[0]
    write(name, ids, positions, "logits", out)


def write(name, ids, positions, values, out):
    rows = [[round(v, 4) for v in out[p].tolist()] for p in positions]
    golden = {
        "reference": f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}, float32",
        "tokens": ids[0].tolist(), "positions": positions, "values": values, "rows": rows,
    }
    with open(os.path.join(HERE, name + ".json"), "w") as f:
        json.dump(golden, f)
        f.write("\n")


def states(model, name):
    """The last hidden state of an encoder, at every 9th position."""
    ids = torch.randint(0, VOCAB, (1, TOKENS))
    positions = list(range(0, TOKENS, 9)) + [TOKENS - 1]
    with torch.no_grad():
        out = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
    write(name, ids, positions, "last hidden state", out)


def nomic_bert(name):
    config = transformers.NomicBertConfig(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=CONTEXT, attn_implementation="eager")
    model = transformers.NomicBertModel(config).eval()
    fill(model)
    states(model, name)
    w = Writer(os.path.join(HERE, name + ".gguf"), "nomic-bert")
    w.add_block_count(config.num_hidden_layers)
    w.add_context_length(CONTEXT)
    w.add_embedding_length(config.hidden_size)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_layer_norm_eps(config.layer_norm_eps)
    w.add_causal_attention(False)
    w.add_pooling_type(gguf.PoolingType.MEAN)
    w.add_rope_freq_base(config.rope_parameters["rope_theta"])
    w.add_vocab_size(VOCAB)
    w.add_tokenizer_model("none")
    w.add_token_type_count(config.type_vocab_size)
    e = model.embeddings
    w.matrix("token_embd.weight", e.word_embeddings.weight)
    w.vector("token_types.weight", e.token_type_embeddings.weight)
    w.vector("token_embd_norm.weight", e.LayerNorm.weight)
    w.vector("token_embd_norm.bias", e.LayerNorm.bias)
    for i, layer in enumerate(model.layers):
        p, a, f = f"blk.{i}.", layer.self_attn, layer.mlp
        w.matrix(p + "attn_qkv.weight", torch.cat([a.q_proj.weight, a.k_proj.weight, a.v_proj.weight]))
        w.matrix(p + "attn_output.weight", a.o_proj.weight)
        w.vector(p + "attn_output_norm.weight", layer.post_attention_layernorm.weight)
        w.vector(p + "attn_output_norm.bias", layer.post_attention_layernorm.bias)
        w.matrix(p + "ffn_gate.weight", f.gate_proj.weight)
        w.matrix(p + "ffn_up.weight", f.up_proj.weight)
        w.matrix(p + "ffn_down.weight", f.down_proj.weight)
        w.vector(p + "layer_output_norm.weight", layer.post_mlp_layernorm.weight)
        w.vector(p + "layer_output_norm.bias", layer.post_mlp_layernorm.bias)
    w.finish()


def gemma_embedding(name):
    window = 10  # of the published config; transformers turns it into the positions on one side
    config = transformers.Gemma3TextConfig(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=32, num_hidden_layers=6, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=CONTEXT, query_pre_attn_scalar=16, sliding_window=window,
        use_bidirectional_attention=True, attn_implementation="eager")
    model = transformers.Gemma3TextModel(config).eval()
    fill(model)
    for n, p in model.named_parameters():
        if "norm" in n:
            p.data = p.data - 1  # Gemma's norms multiply by one more
    states(model, name)
    w = Writer(os.path.join(HERE, name + ".gguf"), "gemma-embedding")
    w.common(config, config.rms_norm_eps)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_key_length(16)
    w.add_value_length(16)
    w.add_rope_freq_base(1e6)
    w.add_rope_freq_base_swa(1e4)
    w.add_sliding_window(window)
    w.add_causal_attention(False)
    w.add_pooling_type(gguf.PoolingType.MEAN)
    w.matrix("token_embd.weight", model.embed_tokens.weight)
    w.vector("output_norm.weight", model.norm.weight + 1)
    for i, layer in enumerate(model.layers):
        p, a, f = f"blk.{i}.", layer.self_attn, layer.mlp
        for key, norm in {"attn_norm": layer.input_layernorm, "post_attention_norm": layer.post_attention_layernorm,
                          "ffn_norm": layer.pre_feedforward_layernorm, "post_ffw_norm": layer.post_feedforward_layernorm,
                          "attn_q_norm": a.q_norm, "attn_k_norm": a.k_norm}.items():
            w.vector(p + key + ".weight", norm.weight + 1)
        for key, linear in {"attn_q": a.q_proj, "attn_k": a.k_proj, "attn_v": a.v_proj, "attn_output": a.o_proj,
                            "ffn_gate": f.gate_proj, "ffn_up": f.up_proj, "ffn_down": f.down_proj}.items():
            w.matrix(p + key + ".weight", linear.weight)
    w.finish()


def falcon_h1(name, layers, rms_norm):
    config = transformers.FalconH1Config(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=32, num_hidden_layers=layers, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=CONTEXT, mamba_d_ssm=64, mamba_n_heads=4,
        mamba_n_groups=2, mamba_d_state=16, mamba_rms_norm=rms_norm, mamba_norm_before_gate=False,
        rope_parameters={"rope_type": "default", "rope_theta": 1e11},
        attention_in_multiplier=0.5, attention_out_multiplier=2.0, ssm_in_multiplier=0.5, ssm_out_multiplier=2.0,
        mlp_multipliers=[0.5, 2.0], ssm_multipliers=[2.0, 0.5, 2.0, 0.5, 4.0], key_multiplier=0.25,
        lm_head_multiplier=0.5, embedding_multiplier=4.0)
    model = transformers.FalconH1ForCausalLM(config).eval()
    fill(model)
    logits(model, name)
    w = Writer(os.path.join(HERE, name + ".gguf"), "falcon-h1")
    w.common(config, config.rms_norm_eps)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_key_length(16)
    w.add_value_length(16)
    w.add_rope_freq_base(1e11)
    w.mamba_keys(config, config.mamba_d_ssm)
    w.matrix("token_embd.weight", model.model.embed_tokens.weight * config.embedding_multiplier)
    w.vector("output_norm.weight", model.model.final_layernorm.weight)
    w.matrix("output.weight", model.lm_head.weight * config.lm_head_multiplier)
    inner, state = config.mamba_d_ssm, config.mamba_n_groups * config.mamba_d_state
    sizes = [inner, inner, state, state, config.mamba_n_heads]
    scale = torch.cat([torch.full((n, 1), m) for n, m in zip(sizes, config.ssm_multipliers)]) * config.ssm_in_multiplier
    for i, layer in enumerate(model.model.layers):
        p, a, f, k = f"blk.{i}.", layer.self_attn, layer.feed_forward, config.attention_in_multiplier
        w.vector(p + "attn_norm.weight", layer.input_layernorm.weight)
        w.vector(p + "ffn_norm", layer.pre_ff_layernorm.weight)  # the converter writes no suffix
        w.mamba(p, layer.mamba, config, inner, scale, config.ssm_out_multiplier)
        w.matrix(p + "attn_q.weight", a.q_proj.weight * k)
        w.matrix(p + "attn_k.weight", a.k_proj.weight * k * config.key_multiplier)
        w.matrix(p + "attn_v.weight", a.v_proj.weight * k)
        w.matrix(p + "attn_output.weight", a.o_proj.weight * config.attention_out_multiplier)
        w.matrix(p + "ffn_gate.weight", f.gate_proj.weight * config.mlp_multipliers[0])
        w.matrix(p + "ffn_up.weight", f.up_proj.weight)
        w.matrix(p + "ffn_down.weight", f.down_proj.weight * config.mlp_multipliers[1])
    w.finish()


def granite_hybrid(name, kinds, experts):
    config = transformers.GraniteMoeHybridConfig(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=16 if experts else 32, num_hidden_layers=len(kinds), num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=CONTEXT, tie_word_embeddings=True, shared_intermediate_size=32,
        num_local_experts=experts, num_experts_per_tok=min(2, experts), mamba_n_heads=4, mamba_n_groups=1,
        mamba_d_state=16, mamba_d_head=16, layer_types=kinds, position_embedding_type="nope",
        embedding_multiplier=12.0, logits_scaling=3.0, residual_multiplier=0.22, attention_multiplier=0.125)
    model = transformers.GraniteMoeHybridForCausalLM(config).eval()
    fill(model)
    logits(model, name)
    w = Writer(os.path.join(HERE, name + ".gguf"), "granitehybrid")
    w.common(config, config.rms_norm_eps)
    inner = 64
    w.mamba_keys(config, inner)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count_kv([int(kind == "attention") for kind in kinds])
    w.add_attention_scale(config.attention_multiplier)
    w.add_embedding_scale(config.embedding_multiplier)
    w.add_residual_scale(config.residual_multiplier)
    w.add_logit_scale(config.logits_scaling)
    w.add_rope_dimension_count(16)
    w.add_rope_scaling_finetuned(False)
    w.add_expert_shared_feed_forward_length(config.shared_intermediate_size)
    if experts:
        w.add_expert_count(experts)
        w.add_expert_used_count(2)
    w.matrix("token_embd.weight", model.model.embed_tokens.weight)
    w.vector("output_norm.weight", model.model.norm.weight)
    for i, layer in enumerate(model.model.layers):
        p = f"blk.{i}."
        w.vector(p + "attn_norm.weight", layer.input_layernorm.weight)
        w.vector(p + "ffn_norm.weight", layer.post_attention_layernorm.weight)
        if layer.mamba is not None:
            w.mamba(p, layer.mamba, config, inner)
        else:
            a = layer.self_attn
            w.matrix(p + "attn_q.weight", permute(a.q_proj.weight, 2))
            w.matrix(p + "attn_k.weight", permute(a.k_proj.weight, 1))
            w.matrix(p + "attn_v.weight", a.v_proj.weight)
            w.matrix(p + "attn_output.weight", a.o_proj.weight)
        gate, up = layer.shared_mlp.input_linear.weight.chunk(2)
        suffix = "_shexp" if experts else ""
        w.matrix(p + f"ffn_gate{suffix}.weight", gate)
        w.matrix(p + f"ffn_up{suffix}.weight", up)
        w.matrix(p + f"ffn_down{suffix}.weight", layer.shared_mlp.output_linear.weight)
        if experts:
            moe = layer.block_sparse_moe
            gate, up = moe.experts.gate_up_proj.chunk(2, dim=1)
            w.vector(p + "ffn_gate_inp.weight", moe.router.weight)
            w.matrix(p + "ffn_gate_exps.weight", gate)
            w.matrix(p + "ffn_up_exps.weight", up)
            w.matrix(p + "ffn_down_exps.weight", moe.experts.down_proj)
    w.finish()


torch.manual_seed(2)
nomic_bert("nomic-bert")
gemma_embedding("gemma-embedding")
torch.manual_seed(1)
falcon_h1("falcon-h1", 2, False)
falcon_h1("falcon-h1-norm", 1, True)
granite_hybrid("granitehybrid", ["mamba", "attention", "mamba"], 0)
granite_hybrid("granitehybrid-moe", ["attention", "mamba"], 4)
