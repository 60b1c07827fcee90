// The ECP5's cells as Yosys maps onto them, as far as our netlists use them: their behaviour in
// a simulation of cycles. A parameter that these models do not have stops the simulation.

module LUT4(input A, B, C, D, output Z);
    parameter [15:0] INIT = 0;
    assign Z = INIT[{D, C, B, A}];
endmodule

module PFUMX(input ALUT, BLUT, C0, output Z);
    assign Z = C0 ? ALUT : BLUT;
endmodule

// Two bits of a carry chain: each a LUT whose lower quarter says what carries over.
module CCU2C(input A0, B0, C0, D0, A1, B1, C1, D1, CIN, output S0, S1, COUT);
    parameter [15:0] INIT0 = 0, INIT1 = 0;
    parameter INJECT1_0 = "YES", INJECT1_1 = "YES";
    wire sum_0 = INIT0[{D0, C0, B0, A0}], sum_1 = INIT1[{D1, C1, B1, A1}];
    wire generate_0 = INJECT1_0 == "YES" ? 1'b0 : INIT0[{2'b00, B0, A0}];
    wire generate_1 = INJECT1_1 == "YES" ? 1'b0 : INIT1[{2'b00, B1, A1}];
    wire middle = sum_0 ? CIN : generate_0;
    assign S0 = sum_0 ^ (INJECT1_0 == "YES" ? 1'b0 : CIN);
    assign S1 = sum_1 ^ (INJECT1_1 == "YES" ? 1'b0 : middle);
    assign COUT = sum_1 ? middle : generate_1;
endmodule

module TRELLIS_FF(input CLK, LSR, CE, DI, M, output reg Q);
    parameter GSR = "ENABLED", CEMUX = "1", CLKMUX = "CLK", LSRMUX = "LSR";
    parameter SRMODE = "LSR_OVER_CE", REGSET = "RESET", LSRMODE = "LSR";
    localparam value = REGSET == "SET";
    wire enable = CEMUX == "CE" ? CE : CEMUX == "INV" ? ~CE : 1'b1;
    initial begin
        Q = value;
        if (CLKMUX != "CLK" || LSRMUX != "LSR" || LSRMODE != "LSR") $fatal(1, "TRELLIS_FF: not modelled");
    end
    generate
        if (SRMODE == "ASYNC") begin
            always @(posedge CLK, posedge LSR) if (LSR) Q <= value; else if (enable) Q <= DI;
        end else begin
            always @(posedge CLK) if (LSR) Q <= value; else if (enable) Q <= DI;
        end
    endgenerate
endmodule

module TRELLIS_DPR16X4(input [3:0] DI, WAD, RAD, input WRE, WCK, output [3:0] DO);
    parameter WCKMUX = "WCK", WREMUX = "WRE";
    parameter [63:0] INITVAL = 0;
    reg [63:0] bits = INITVAL;
    initial if (WCKMUX != "WCK" || WREMUX != "WRE") $fatal(1, "TRELLIS_DPR16X4: not modelled");
    always @(posedge WCK) if (WRE) bits[{WAD, 2'b00} +: 4] <= DI;
    assign DO = bits[{RAD, 2'b00} +: 4];
endmodule

module MULT18X18D(
    input A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17,
    input B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17,
    input C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, C16, C17,   // for a chain; not used
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, CE1, CE2, RST0, RST1,
    output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17,
    output P18, P19, P20, P21, P22, P23, P24, P25, P26, P27, P28, P29, P30, P31, P32, P33, P34, P35);
    parameter REG_INPUTA_CLK = "NONE", REG_INPUTA_CE = "CE0", REG_INPUTA_RST = "RST0";
    parameter REG_INPUTB_CLK = "NONE", REG_INPUTB_CE = "CE0", REG_INPUTB_RST = "RST0";
    parameter REG_PIPELINE_CLK = "NONE", REG_PIPELINE_CE = "CE0", REG_PIPELINE_RST = "RST0";
    parameter REG_OUTPUT_CLK = "NONE", REG_OUTPUT_CE = "CE0", REG_OUTPUT_RST = "RST0";
    parameter RESETMODE = "SYNC", GSR = "ENABLED";
    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    reg [18:0] a_in = 0, b_in = 0;
    reg [37:0] inner = 0, out = 0;
    wire [18:0] a_now = REG_INPUTA_CLK == "NONE" ? {SIGNEDA & a[17], a} : a_in;
    wire [18:0] b_now = REG_INPUTB_CLK == "NONE" ? {SIGNEDB & b[17], b} : b_in;
    wire [37:0] product = {{19{a_now[18]}}, a_now} * {{19{b_now[18]}}, b_now};
    wire [37:0] inner_now = REG_PIPELINE_CLK == "NONE" ? product : inner;
    initial if ((REG_INPUTA_CLK != "NONE" && REG_INPUTA_CE != "CE0") || (REG_INPUTB_CLK != "NONE" && REG_INPUTB_CE != "CE0")
                || (REG_PIPELINE_CLK != "NONE" && REG_PIPELINE_CE != "CE1")
                || (REG_OUTPUT_CLK != "NONE" && (REG_OUTPUT_CE != "CE2" || (REG_OUTPUT_RST != "RST0" && REG_OUTPUT_RST != "RST1")))
                || REG_INPUTA_RST != "RST0" || REG_INPUTB_RST != "RST0" || REG_PIPELINE_RST != "RST0") $fatal(1, "MULT18X18D: not modelled");
    always @(posedge CLK0) begin
        if (RST0) {a_in, b_in, inner} <= 0;
        else begin
            if (CE0) {a_in, b_in} <= {SIGNEDA & a[17], a, SIGNEDB & b[17], b};
            if (CE1) inner <= product;
        end
        if (REG_OUTPUT_RST == "RST1" ? RST1 : RST0) out <= 0;
        else if (CE2) out <= inner_now;
    end
    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
            P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0}
        = REG_OUTPUT_CLK == "NONE" ? inner_now[35:0] : out[35:0];
endmodule

// One port writes, the other reads. A word that is read in the cycle in which it is written comes
// out inverted, since the part says nothing of it.
module DP16KD(
    input DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11, DIA12, DIA13, DIA14, DIA15, DIA16, DIA17,
    input DIB0, DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12, DIB13, DIB14, DIB15, DIB16, DIB17,
    input ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9, ADA10, ADA11, ADA12, ADA13,
    input ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8, ADB9, ADB10, ADB11, ADB12, ADB13,
    input CLKA, CLKB, CEA, CEB, OCEA, OCEB, WEA, WEB, RSTA, RSTB, CSA0, CSA1, CSA2, CSB0, CSB1, CSB2,
    output DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12, DOA13, DOA14, DOA15, DOA16, DOA17,
    output DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11, DOB12, DOB13, DOB14, DOB15, DOB16, DOB17);
    parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG";
    parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL", CSDECODE_A = "0b000", CSDECODE_B = "0b000";
    parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", GSR = "ENABLED", CLKAMUX = "CLKA", CLKBMUX = "CLKB";
    parameter INIT_DATA = "STATIC";
@INITVAL@
    wire [35:0] in = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
                      DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
    wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
    localparam shift = DATA_WIDTH_A == 36 ? 5 : DATA_WIDTH_A == 18 ? 4 : DATA_WIDTH_A == 9 ? 3 : DATA_WIDTH_A == 4 ? 2 :
                       DATA_WIDTH_A == 2 ? 1 : 0;
    localparam bytes = DATA_WIDTH_A == 36 ? 4 : DATA_WIDTH_A == 18 ? 2 : 1;
    localparam each = DATA_WIDTH_A < 9 ? DATA_WIDTH_A : 9;
    reg [DATA_WIDTH_A-1:0] words[0:(16384 >> shift)-1];
    reg [35:0] read = 0, out = 0;
    wire [13:0] write_at = ada >> shift, read_at = adb >> shift;
    wire writes = CEA & WEA & ~(CSA0 | CSA1 | CSA2), reads = CEB & ~(CSB0 | CSB1 | CSB2);
    wire [bytes-1:0] enabled = bytes == 1 ? 1'b1 : ada[bytes-1:0];
    integer n;
    initial begin
        for (n = 0; n < (16384 >> shift); n = n + 1) words[n] = 0;
        if (DATA_WIDTH_A != DATA_WIDTH_B || CSDECODE_A != "0b000" || CSDECODE_B != "0b000" || |initial_contents
            || REGMODE_A != "NOREG" || CLKAMUX != "CLKA" || CLKBMUX != "CLKB") $fatal(1, "DP16KD: not modelled");
    end
    always @(posedge CLKA) begin
        if (WEB) $fatal(1, "DP16KD: both ports write");
        if (writes) for (n = 0; n < bytes; n = n + 1) if (enabled[n]) words[write_at][n*each +: each] <= in[n*each +: each];
        if (reads) read <= {36{writes && |enabled && write_at == read_at}} ^ 36'(words[read_at]);
        if (OCEB) out <= read;
    end
    wire [35:0] shown = REGMODE_B == "OUTREG" ? out : read;
    wire [17:0] a = DATA_WIDTH_B == 36 ? shown[17:0] : 18'd0, b = DATA_WIDTH_B == 36 ? shown[35:18] : shown[17:0];
    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
            DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} = {a, b};
endmodule
