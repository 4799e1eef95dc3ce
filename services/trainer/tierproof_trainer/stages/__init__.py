"""What runs in the training environment, and nowhere else imports torch: one job, one folder, one process.

Only the standard library, torch, transformers, TRL, PEFT and safetensors are imported here, so that the training environment needs no other
package of this project. The lock has been validated before the process starts.
"""
